"""Frameworks, sizes, spot, network and environment of a DLC job: what the real SDK sends, what the pods then do."""

from __future__ import annotations

import os
import shutil
import subprocess
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import redact

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.dlc import jobs as dlc
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.dlc.frameworks import FRAMEWORKS, replicas
from airflow_provider_pai.operators.dlc.nodes import spec_with_gpus
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


def task(run_id, **changes):
    given = {
        "task_id": "task",
        "framework": "pytorch",
        "ecs_spec": "ecs.g6.large",
        "image": "train:1",
        "command": "true",
        "poll_interval": 0.02,
    }
    return Task(lambda: DlcSubmitJobOperator(**{**given, **changes}), run_id=f"nodes-{run_id}")


def build(**changes):
    one = task("build", **changes)
    return one.make().build(one.context(), one.make().identity(one.context()), 1)


def run(run_id, **changes):
    """Run a job; return GetJob's answer and the last line of each pod by role and index."""
    job_id = task(run_id, **changes).run()["job_id"]
    job = DlcHook().describe(job_id)
    pods = [pod["PodId"] for pod in job["Pods"]]
    return job, {pod.removeprefix(f"{job_id}-"): (DlcHook().pod_logs(job_id, pod) or [""])[-1] for pod in pods}


SHORT = {
    "tensorflow": ("TFJob", {"Worker": 2}),
    "pytorch": ("PyTorchJob", {"Worker": 2}),
    "xgboost": ("XGBoostJob", {"Worker": 2}),
    "mpi": ("MPIJob", {"Worker": 2}),
    "ray": ("RayJob", {"Head": 1, "Worker": 2}),
    "elastic_batch": ("ElasticBatchJob", {"Worker": 2}),
    "mxnet": ("TFJob", {"Chief": 1, "PS": 1, "Worker": 2}),
    "python": ("PyTorchJob", {"Worker": 1}),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_framework_runs_with_the_short_form(framework):
    job, _ = run(f"short-{framework}", framework=framework, workers="1" if framework == "python" else "2")
    kinds = {spec["Type"]: spec["PodCount"] for spec in job["JobSpecs"]}
    assert (job["Status"], job["JobType"], kinds) == ("Succeeded", *SHORT[framework])


@pytest.mark.parametrize(("framework", "row"), FRAMEWORKS.items())
def test_every_framework_runs_with_all_its_roles(framework, row):
    job, _ = run(f"roles-{framework}", framework=framework, roles=dict.fromkeys(row.roles, 1))
    assert [spec["Type"] for spec in job["JobSpecs"]] == [role.type for role in row.roles.values()]
    chiefs = [spec["Type"] for spec in job["JobSpecs"] if spec.get("IsChief")]
    assert chiefs == (["Chief"] if row.job_type == "TFJob" else [])


def test_one_worker_is_the_default():
    assert replicas("pytorch", None, None) == {"Worker": 1}
    assert replicas("mxnet", None, {"Server": 2}) == {"Scheduler": 1, "Server": 2, "Worker": 1}
    with pytest.raises(PaiConfigError):
        replicas("pytorch", True, None)


@pytest.mark.parametrize(("policy", "seconds", "logs"), [("ChiefWorker", 100, ""), ("AllWorkers", 1, "late")])
def test_success_policy_decides_whether_workers_are_waited_for(policy, seconds, logs):
    command = f"""case $TF_CONFIG in *'"type": "worker"'*) sleep {seconds}; echo late;; esac"""
    job, lines = run(
        policy, framework="tensorflow", roles={"Chief": 1, "Worker": 1}, success_policy=policy, command=command
    )
    assert (job["Status"], lines["worker-0"]) == ("Succeeded", logs)


MEET = '''
"""What ps-lite does at the start, over plain sockets: all report to the scheduler, which tells all who is there."""
import json, os, socket, time

role = os.environ["DMLC_ROLE"]
root = os.environ["DMLC_PS_ROOT_URI"], int(os.environ["DMLC_PS_ROOT_PORT"])
servers, workers = int(os.environ["DMLC_NUM_SERVER"]), int(os.environ["DMLC_NUM_WORKER"])

def reach(address):
    while True:
        try:
            return socket.create_connection(address).makefile("rw")
        except ConnectionRefusedError:
            time.sleep(0.02)

def tell(stream, what):
    stream.write(json.dumps(what) + "\\n")
    stream.flush()

if role == "scheduler":
    with socket.create_server(root) as door:
        nodes = [door.accept()[0].makefile("rw") for _ in range(servers + workers)]
        reports = [json.loads(node.readline()) for node in nodes]
        for node in nodes:
            tell(node, [port for kind, port in reports if kind == "server"])
    kinds = [kind for kind, _ in reports]
    print("met", kinds.count("server"), "servers and", kinds.count("worker"), "workers")
elif role == "server":
    with socket.create_server(("127.0.0.1", 0)) as door:
        scheduler = reach(root)
        tell(scheduler, ["server", door.getsockname()[1]])
        scheduler.readline()
        pushers = [door.accept()[0].makefile("rw") for _ in range(workers)]
        total = sum(json.loads(pusher.readline()) for pusher in pushers)
        for pusher in pushers:
            tell(pusher, total)
    print("summed", total)
else:
    scheduler = reach(root)
    tell(scheduler, ["worker", None])
    streams = [reach(("127.0.0.1", port)) for port in json.loads(scheduler.readline())]
    for stream in streams:
        tell(stream, 7)
    print("pulled", [json.loads(stream.readline()) for stream in streams])
'''


def test_mxnet_nodes_meet_over_the_dmlc_environment(bucket):
    OssHook().put(f"oss://{bucket.bucket_name}/code/meet.py", MEET)
    _, lines = run(
        "mxnet",
        framework="mxnet",
        roles={"Server": 2, "Worker": 3},
        command="python $PAI_INPUT_CODE_DIR/meet.py",
        inputs={"code": f"oss://{bucket.bucket_name}/code"},
    )
    assert lines["chief-0"] == "met 2 servers and 3 workers"
    assert [lines[f"worker-{index}"] for index in range(3)] == ["pulled [21, 21]"] * 3
    assert "summed 21" in {lines["ps-0"], lines["ps-1"]}


MXNET = """
import mxnet as mx  # becomes the scheduler or a server, and ends with the job, where DMLC_ROLE says so

store = mx.kv.create("dist_sync")
store.init("w", mx.nd.zeros(2))
store.push("w", mx.nd.ones(2) * (store.rank + 1))
value = mx.nd.empty(2)
store.pull("w", out=value)
print("workers", store.num_workers, "pulled", value.asnumpy().tolist())
"""


@pytest.mark.skipif(not os.environ.get("MXNET_PYTHON"), reason="MXNET_PYTHON does not name a Python that has mxnet")
def test_mxnet_itself_meets_over_the_dmlc_environment(bucket):
    OssHook().put(f"oss://{bucket.bucket_name}/code/store.py", MXNET)
    job, lines = run(
        "real-mxnet",
        framework="mxnet",
        roles={"Server": 2, "Worker": 2},
        command=f"{os.environ['MXNET_PYTHON']} $PAI_INPUT_CODE_DIR/store.py",
        inputs={"code": f"oss://{bucket.bucket_name}/code"},
    )
    assert {lines["worker-0"], lines["worker-1"]} == {"workers 2 pulled [3.0, 3.0]"}
    assert {pod["Status"] for pod in job["Pods"]} == {"Succeeded"}


@pytest.mark.skipif(not shutil.which("mpirun"), reason="Open MPI is not installed")
def test_mpirun_itself_starts_processes_in_every_pod():
    command = "mpirun -np 2 sh -c 'echo rank $OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE in $HOSTNAME'"
    as_root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    job_id = task("real-mpi", framework="mpi", workers=2, command=command, env=as_root).run()["job_id"]
    lines = DlcHook().pod_logs(job_id, f"{job_id}-master-0")
    pods = [f"rank 0 of 2 in {job_id}-master-0", f"rank 1 of 2 in {job_id}-worker-0"]
    assert sorted(line for line in lines if line.startswith("rank")) == pods


RAY = """
import time, ray

ray.init()
while len([node for node in ray.nodes() if node["Alive"]]) < 2:
    time.sleep(0.2)
double = ray.remote(lambda number: 2 * number)
print("nodes 2 sum", sum(ray.get([double.remote(number) for number in (1, 2)])))
"""


@pytest.mark.skipif(not os.environ.get("RAY_BIN"), reason="RAY_BIN does not name a folder with ray and its python")
def test_ray_itself_has_a_node_in_every_pod(bucket):
    OssHook().put(f"oss://{bucket.bucket_name}/code/nodes.py", RAY)
    job, lines = run(
        "real-ray",
        framework="ray",
        roles={"Head": 1, "Worker": 1},
        command="python $PAI_INPUT_CODE_DIR/nodes.py",
        inputs={"code": f"oss://{bucket.bucket_name}/code"},
        env={"PATH": f"{os.environ['RAY_BIN']}:{os.environ['PATH']}"},
    )
    assert (job["Status"], lines["head-0"]) == ("Succeeded", "nodes 2 sum 6")


def test_the_address_of_mxnets_scheduler_is_read_from_any_json():
    (spec, *_) = build(framework="mxnet", command="echo $DMLC_PS_ROOT_URI $DMLC_PS_ROOT_PORT $DMLC_ROLE")["JobSpecs"]
    config = """{"cluster": {"ps":["dlc1-ps-0.ns.svc:2222"],
        "chief" : [ "dlc1-chief-0.ns.svc:2223" ]}, "task": {"type": "chief"}}"""
    for shell in ("sh", "bash"):
        command = [shell, "-c", spec["UserCommand"]]
        environment = {"TF_CONFIG": config, "PATH": "/usr/bin:/bin"}
        assert subprocess.check_output(command, env=environment, text=True) == "dlc1-chief-0.ns.svc 2223 scheduler\n"


def test_a_gpu_by_name_in_the_public_pool_is_the_smallest_instance_type(monkeypatch):
    monkeypatch.setattr(dlc, "PAGE_SIZE", 2)  # so that the list has pages
    assert len(list(DlcHook().ecs_specs())) > 4
    job, _ = run("gpu", ecs_spec=None, gpu_type="nvidia v100", gpus="4")
    assert job["JobSpecs"][0]["EcsSpec"] == "ecs.gn6v-c8g1.8xlarge"
    assert build(ecs_spec=None, gpu_type="T4")["JobSpecs"][0]["EcsSpec"] == "ecs.gn6i-c4g1.xlarge"


def test_what_is_not_available_is_not_taken():
    base = {"Gpu": 1, "GpuType": "T4", "Cpu": 4, "Memory": 8}
    specs = [{**base, "InstanceType": "a", "IsAvailable": False}, {**base, "InstanceType": "b", "Cpu": 8}]
    assert spec_with_gpus(specs, "T4", 1) == "b"
    with pytest.raises(PaiConfigError, match="the public pool has none"):
        spec_with_gpus(specs[:1], "T4", 1)


def test_a_gpu_by_name_in_a_quota_is_a_resource_config():
    job, _ = run("quota", ecs_spec=None, gpu_type="A100", gpus=2, resource_id="quota1")
    assert job["ResourceId"] == "quota1"
    assert job["JobSpecs"][0]["ResourceConfig"] == {"GPU": "2", "GPUType": "A100"}
    assert "EcsSpec" not in job["JobSpecs"][0]


@pytest.mark.parametrize(
    ("spot", "field", "limit"),
    [({"discount_limit": "0.8"}, "SpotDiscountLimit", 0.8), ({"price_limit": 2}, "SpotPriceLimit", 2)],
)
def test_spot_limits_reach_every_role(spot, field, limit):
    job, _ = run(f"spot-{field}", roles={"Master": 1, "Worker": 1}, spot=spot)
    wanted = {"SpotStrategy": "SpotWithPriceLimit", field: limit}
    assert [spec["SpotSpec"] for spec in job["JobSpecs"]] == [wanted, wanted]


def test_network_and_settings_reach_the_job_and_its_tags_stay():
    vpc = {"vpc_id": "vpc-1", "switch_id": "vsw-1", "security_group_id": "sg-1", "extended_cidrs": ["10.0.0.0/8"]}
    job, _ = run("vpc", vpc=vpc, settings={"EnableRDMA": True, "Tags": {"team": "a"}})
    assert job["UserVpc"] == {
        "VpcId": "vpc-1",
        "SwitchId": "vsw-1",
        "SecurityGroupId": "sg-1",
        "ExtendedCidrs": ["10.0.0.0/8"],
    }
    assert job["Settings"]["EnableRDMA"] is True
    assert job["Settings"]["Tags"]["team"] == "a"
    assert "airflow_task" in " ".join(job["Settings"]["Tags"])


def test_what_looks_like_a_secret_is_warned_about(monkeypatch):
    warnings = []
    log = SimpleNamespace(info=lambda *_: None, warning=lambda text, *values: warnings.append(text % values))
    monkeypatch.setattr(DlcSubmitJobOperator, "log", log)
    env = {"DB_PASSWORD": "hunter2hunter2", "KEY": "LTAI5tExampleKey00", "PLAIN": "seen-by-all"}
    env |= {"TOKENIZERS_PARALLELISM": "parallel", "MAX_TOKENS": "4096", "PAD_TOKEN": "false"}
    assert build(env=env)["Envs"]["PLAIN"] == "seen-by-all"
    assert [warning.partition(";")[0] for warning in warnings] == ["env: DB_PASSWORD, KEY look like secrets"]


def test_rendered_secrets_are_masked_before_the_task_runs():
    job = {"JobSpecs": [{"ImageConfig": {"Auth": "{{ auth }}"}}]}
    code = {"repo": "https://me:{{ login }}@example.com/r.git", "commit": "main"}
    one = task("render", env={"MY_TOKEN": "{{ secret }}", "KEY": "LTAI5tExampleKey00"}, job=job, code=code).make()
    one.render_template_fields(
        {"secret": "rendered-secret-value", "login": "rendered-login-value", "auth": "rendered-auth"}
    )
    assert redact([*one.env.values(), one.job["JobSpecs"][0]["ImageConfig"]["Auth"]]) == ["***"] * 3
    assert redact(one.code["repo"]) == "https://me:***@example.com/r.git"


def test_rendered_secrets_of_mapped_tasks_are_masked_too():
    one = task("mapped", env={"MY_TOKEN": "{{ secret }}"}).make()
    parts = {"context": {"secret": "mapped-secret-value"}, "jinja_env": one.get_template_env(), "seen_oids": set()}
    one._do_render_template_fields(parent=one, template_fields=one.template_fields, **parts)  # as a MappedOperator does
    assert redact(one.env["MY_TOKEN"]) == "***"


def test_a_display_name_made_of_dag_and_task_fits():
    one = task("name")
    identity = one.make().identity(one.context())
    body = one.make().build(one.context(), identity._replace(dag_id="nächtlich"), 1)
    assert body["DisplayName"] == "n_chtlich.task"
