"""Every public method of every hook, through every fault that an answer can have: a value comes, or a PaiError."""

from __future__ import annotations

import inspect
import json
import random
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest
from alibabacloud_pai_dlc20201203.models import GetJobRequest

import airflow_provider_pai.hooks
from airflow_provider_pai.exceptions import PaiApiError, PaiError
from airflow_provider_pai.hooks.aiworkspace import AIWorkspaceHook
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.cloudmonitor import CloudMonitorHook
from airflow_provider_pai.hooks.dlc import DlcHook, TensorBoardHook
from airflow_provider_pai.hooks.dsw import DswCommandHook, DswHook, DswRestHook, DswRunHook
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.eas.inference import Asker, GoldenRequest
from airflow_provider_pai.hooks.identity import EAS_ROLE, RamHook, StsHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.pai import PaiConnectionHook
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.remote import RemoteJob
from airflow_provider_pai.uri import OssUri
from tests.clock import VirtualClock
from tests.conftest import airflow_connection, oss_bucket
from tests.faults import KINDS, STALL, fault
from tests.group import ServiceGroup
from tests.hooks.test_dsw_commands import Served
from tests.service import config, create, delete_all

pytestmark = pytest.mark.usefixtures("connection")

SEED = 20261128
SHARE = 0.15
"""Of the product of calls and faults that one run of the suite takes."""
NO_SUCH = "none-such"


class Place:
    """What the calls are about: a job, an instance, a service in a group, a bucket with objects."""

    def __init__(self, group: ServiceGroup, folder: Path) -> None:
        self.group, self.folder, self.uri = group, folder, f"oss://{group.bucket}/answers/"
        self.service = create(group)
        self.job = DlcHook().submit(job())
        self.instance = DswHook().submit(instance())
        self.served = Served(group.bucket)
        self.command = self.served.submit("true")
        self.board = TensorBoardHook().create({"DisplayName": "answers", "Uri": self.uri})
        self.endpoint = group.eas.endpoint(self.service)
        for name in ("a", "b/c"):
            OssHook().put(self.uri + name, name)
        (folder / "sent").mkdir()
        (folder / "sent" / "one").write_text("one")
        (folder / "large").write_bytes(b"x" * 250_000)

    def new(self) -> str:
        """Return the address of an object that nobody has written."""
        return f"{self.uri}new/{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def place(pai, tmp_path_factory) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai)))
        bucket = oss_bucket(pai, f"answers-{uuid.uuid4().hex[:12]}")
        bucket.create_bucket()
        group = ServiceGroup(bucket.bucket_name)
        yield Place(group, tmp_path_factory.mktemp("answers"))
        delete_all(group)


def job(**fields: Any) -> dict[str, Any]:
    spec = {"Type": "Worker", "PodCount": 1, "EcsSpec": "ecs.g6.large", "Image": "i"}
    return {"DisplayName": "a", "JobType": "PyTorchJob", "JobSpecs": [spec], "UserCommand": "echo 1", **fields}


def instance(**fields: Any) -> dict[str, Any]:
    return {"InstanceName": f"n_{uuid.uuid4().hex[:8]}", "EcsSpec": "ecs.g6.large", "ImageId": "cpu", **fields}


def run(at: Place) -> dict[str, Any]:
    variables = {"PAI_RUN_URI": at.new() + "/", "PAI_RUN_DIR": "/mnt", "PAI_OUTPUT_URI": at.new() + "/"}
    return instance(EnvironmentVariables=variables, UserCommand={"OnStart": {"Content": "true"}})


def write(hook: OssHook, at: Place) -> None:
    with hook.writer(at.new()) as writer:
        writer.write(b"x" * 100)


def write_parts(hook: OssHook, at: Place) -> None:
    with hook.writer(at.new()) as writer:
        writer.write(b"x" * (9 << 20))


def ask(_hook: EasHook, at: Place) -> Any:
    asker = Asker(endpoint=at.endpoint, attempts=1, timeout=1, tolerance=0, path="", clock=VirtualClock().clock)
    with asker.session:
        return asker.ask(GoldenRequest())


def member(at: Place) -> dict[str, Any]:
    made = config(at.group, uuid.uuid4().hex[:8], script="true")
    return {**made, "metadata": {**made["metadata"], "group": at.group.name}}


def asking(hook: DlcHook, at: Place) -> Callable[[], Any]:
    return lambda: hook.client.get_job(at.job, GetJobRequest())


MOMENT, LATER = datetime(2026, 11, 21, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)
TASK = TaskIdentity("d", "d", "r", "t", -1, 0, 1, MOMENT, MOMENT)
ENDED = RemoteJob("", "Failed")
Call = Callable[[Any, Place], Any]
CALLS: dict[str, tuple[type[PaiHook], Call]] = {
    "PaiHook.call": (
        DlcHook,
        lambda hook, at: hook.call("GetJob", asking(hook, at)),
    ),
    "PaiHook.insist": (DlcHook, lambda hook, at: hook.insist("GetJob", asking(hook, at), lambda: "")),
    "PaiHook.in_service_time": (DlcHook, lambda hook, at: hook.in_service_time("2026-11-21T00:00:00+00:00")),
    "PaiHook.request": (
        DlcHook,
        lambda hook, at: hook.request("GetJob", "2020-12-03", "GET", f"/api/v1/jobs/{at.job}"),
    ),
    "PaiHook.ask": (DlcHook, lambda hook, at: hook.ask("GetJob", asking(hook, at))),
    "WatchedHook.going": (DlcHook, lambda hook, at: hook.going(at.job, ())),
    "WatchedHook.diagnosis": (DlcHook, lambda hook, at: hook.diagnosis(ENDED._replace(job_id=at.job))),
    "WatchedHook.failure": (DlcHook, lambda hook, at: hook.failure(ENDED._replace(job_id=at.job))),
    "WatchedHook.last_words": (DlcHook, lambda hook, at: hook.last_words(ENDED._replace(job_id=at.job))),
    "WatchedHook.log_tail": (TensorBoardHook, lambda hook, at: hook.log_tail(ENDED._replace(job_id=at.board))),
    "WatchedHook.new_log_lines": (EasHook, lambda hook, at: hook.new_log_lines(at.service, {})),
    "WatchedHook.usage": (DlcHook, lambda hook, at: hook.usage(ENDED._replace(job_id=at.job))),
    "WatchedHook.wait": (
        DlcHook,
        lambda hook, at: hook.wait(at.job, poll_interval=1, deadline=hook.clock.utc(), log_interval=1),
    ),
    "JobHook.find": (DlcHook, lambda hook, at: hook.find(TASK)),
    "JobHook.get_many": (DswHook, lambda hook, at: hook.get_many([at.instance, NO_SUCH])),
    "DlcHook.delete": (DlcHook, lambda hook, at: hook.delete(NO_SUCH)),
    "DlcHook.describe": (DlcHook, lambda hook, at: hook.describe(at.job)),
    "DlcHook.ecs_specs": (DlcHook, lambda hook, at: list(hook.ecs_specs())),
    "DlcHook.events": (DlcHook, lambda hook, at: hook.events(at.job)),
    "DlcHook.evidence": (DlcHook, lambda hook, at: hook.evidence(ENDED._replace(job_id=at.job))),
    "DlcHook.get": (DlcHook, lambda hook, at: hook.get(at.job)),
    "DlcHook.get_many": (DlcHook, lambda hook, at: hook.get_many([at.job, NO_SUCH])),
    "DlcHook.list_jobs": (DlcHook, lambda hook, at: list(hook.list_jobs())),
    "DlcHook.log_tail": (DlcHook, lambda hook, at: hook.log_tail(ENDED._replace(job_id=at.job))),
    "DlcHook.new_log_lines": (DlcHook, lambda hook, at: hook.new_log_lines(at.job, {})),
    "DlcHook.ping": (DlcHook, lambda hook, at: hook.ping()),
    "DlcHook.pod_logs": (DlcHook, lambda hook, at: hook.pod_logs(at.job, hook.describe(at.job)["Pods"][0]["PodId"])),
    "DlcHook.request_stop": (DlcHook, lambda hook, at: hook.request_stop(at.job)),
    "DlcHook.submit": (DlcHook, lambda hook, at: hook.submit(job())),
    "DlcHook.tagged": (DlcHook, lambda hook, at: hook.tagged({"a": "b"})),
    "TensorBoardHook.create": (
        TensorBoardHook,
        lambda hook, at: hook.create({"DisplayName": uuid.uuid4().hex, "Uri": at.uri}),
    ),
    "TensorBoardHook.describe": (TensorBoardHook, lambda hook, at: hook.describe(at.board)),
    "TensorBoardHook.get": (TensorBoardHook, lambda hook, at: hook.get(at.board)),
    "TensorBoardHook.named": (TensorBoardHook, lambda hook, at: hook.named("answers")),
    "TensorBoardHook.start": (TensorBoardHook, lambda hook, at: hook.start(NO_SUCH)),
    "TensorBoardHook.stop": (TensorBoardHook, lambda hook, at: hook.stop(NO_SUCH)),
    "DswCommandHook.find": (DswCommandHook, lambda hook, at: hook.find(TASK)),
    "DswCommandHook.get": (DswCommandHook, lambda hook, at: hook.get(at.command)),
    "DswCommandHook.request_stop": (DswCommandHook, lambda hook, at: hook.request_stop(at.command)),
    "DswCommandHook.serving": (DswCommandHook, lambda hook, at: hook.serving(at.served.instance_id)),
    "DswCommandHook.submit": (DswCommandHook, lambda hook, at: hook.submit(at.served.body("true"))),
    "DswCommandHook.tagged": (DswCommandHook, lambda hook, at: hook.tagged({"a": "b"})),
    "DswCommandHook.variables": (DswCommandHook, lambda hook, at: hook.variables(at.command)),
    "DswHook.delete": (DswHook, lambda hook, at: hook.delete(NO_SUCH)),
    "DswHook.describe": (DswHook, lambda hook, at: hook.describe(at.instance)),
    "DswHook.ecs_specs": (DswHook, lambda hook, at: list(hook.ecs_specs())),
    "DswHook.get": (DswHook, lambda hook, at: hook.get(at.instance)),
    "DswHook.list_instances": (DswHook, lambda hook, at: list(hook.list_instances())),
    "DswHook.ping": (DswHook, lambda hook, at: hook.ping()),
    "DswHook.prices": (DswHook, lambda hook, at: hook.prices()),
    "DswHook.request_stop": (DswHook, lambda hook, at: hook.request_stop(NO_SUCH)),
    "DswHook.start": (DswHook, lambda hook, at: hook.start(at.instance)),
    "DswHook.stop": (DswHook, lambda hook, at: hook.stop(NO_SUCH)),
    "DswHook.stop_at": (DswHook, lambda hook, at: hook.stop_at(at.instance, LATER)),
    "DswHook.stop_when_idle": (DswHook, lambda hook, at: hook.stop_when_idle(at.instance, 60, 10)),
    "DswHook.submit": (DswHook, lambda hook, at: hook.submit(instance())),
    "DswHook.tagged": (DswHook, lambda hook, at: hook.tagged({"a": "b"})),
    "DswRestHook.get": (DswRestHook, lambda hook, at: hook.get(at.instance)),
    "DswRunHook.evidence": (DswRunHook, lambda hook, at: hook.evidence(ENDED._replace(facts={"run_uri": at.uri}))),
    "DswRunHook.find": (DswRunHook, lambda hook, at: hook.find(TASK)),
    "DswRunHook.get": (DswRunHook, lambda hook, at: hook.get(at.instance)),
    "DswRunHook.log_tail": (DswRunHook, lambda hook, at: hook.log_tail(ENDED._replace(facts={"run_uri": at.uri}))),
    "DswRunHook.new_log_lines": (DswRunHook, lambda hook, at: hook.new_log_lines(at.instance, {})),
    "DswRunHook.variables": (DswRunHook, lambda hook, at: hook.variables(at.instance)),
    "EasCalls.describe": (EasHook, lambda hook, at: hook.describe(at.service)),
    "EasCalls.down": (EasHook, lambda hook, at: hook.down(at.service)),
    "EasCalls.failure": (EasHook, lambda hook, at: hook.failure(ENDED._replace(job_id=at.service))),
    "EasCalls.get": (EasHook, lambda hook, at: hook.get(at.service)),
    "EasCalls.list_services": (EasHook, lambda hook, at: list(hook.list_services())),
    "EasCalls.log_tail": (EasHook, lambda hook, at: hook.log_tail(ENDED._replace(job_id=at.service))),
    "EasCalls.ping": (EasHook, lambda hook, at: hook.ping()),
    "EasTraffic.describe_group": (EasHook, lambda hook, at: hook.describe_group(at.group.name)),
    "EasTraffic.endpoint": (EasHook, lambda hook, at: hook.endpoint(at.service)),
    "EasTraffic.group": (EasHook, lambda hook, at: hook.group(at.group.name, at.service)),
    "EasTraffic.group_endpoint": (EasHook, lambda hook, at: hook.group_endpoint(at.group.name)),
    "EasTraffic.isolate": (EasHook, lambda hook, at: hook.isolate(at.service)),
    "EasTraffic.mirror": (EasHook, lambda hook, at: hook.mirror(at.service)),
    "EasTraffic.release": (EasHook, lambda hook, at: hook.release(at.service, weight=1, grouping=False)),
    "EasTraffic.remove_mirror": (EasHook, lambda hook, at: hook.remove_mirror(at.service)),
    "EasTraffic.set_mirror": (EasHook, lambda hook, at: hook.set_mirror(at.service, [at.service], 1)),
    "EasTraffic.set_traffic_mode": (EasHook, lambda hook, at: hook.set_traffic_mode(at.group.name, "auto")),
    "EasHook.autoscaler": (EasHook, lambda hook, at: hook.autoscaler(at.service)),
    "EasHook.create": (EasHook, lambda hook, at: hook.create(member(at), {"airflow_task": "x"})),
    "EasHook.delete": (EasHook, lambda hook, at: hook.delete(NO_SUCH)),
    "EasHook.label": (EasHook, lambda hook, at: hook.label(at.service, {"a": "b"})),
    "EasHook.remove_autoscaler": (EasHook, lambda hook, at: hook.remove_autoscaler(at.service)),
    "EasHook.set_autoscaler": (
        EasHook,
        lambda hook, at: hook.set_autoscaler(at.service, {"min": 1, "max": 1, "scaleStrategies": []}),
    ),
    "EasHook.set_safety_lock": (EasHook, lambda hook, at: hook.set_safety_lock(at.service, "none")),
    "EasHook.start": (EasHook, lambda hook, at: hook.start(at.service)),
    "EasHook.stop": (EasHook, lambda hook, at: hook.stop(NO_SUCH)),
    "EasHook.update": (EasHook, lambda hook, at: hook.update(NO_SUCH, {"metadata": {"cpu": 1}}, replace=True)),
    "EasHook.use_version": (EasHook, lambda hook, at: hook.use_version(at.service, 1)),
    "EasHook.versions": (EasHook, lambda hook, at: hook.versions(at.service)),
    "AIWorkspaceHook.code_source": (
        AIWorkspaceHook,
        lambda hook, at: hook.code_source(f"https://x/{uuid.uuid4().hex}", "main", "/m"),
    ),
    "AIWorkspaceHook.list_images": (AIWorkspaceHook, lambda hook, at: list(hook.list_images())),
    "AIWorkspaceHook.register_image": (
        AIWorkspaceHook,
        lambda hook, at: hook.register_image(f"a{uuid.uuid4().hex}", "x/y:1", {}, accessibility="PUBLIC"),
    ),
    "AIWorkspaceHook.ping": (AIWorkspaceHook, lambda hook, at: hook.ping()),
    "AIWorkspaceHook.workspace": (AIWorkspaceHook, lambda hook, at: hook.workspace(hook.connection.workspace_id)),
    "StsHook.caller": (StsHook, lambda hook, at: hook.caller()),
    "StsHook.ping": (StsHook, lambda hook, at: hook.ping()),
    "RamHook.ping": (RamHook, lambda hook, at: hook.ping()),
    "RamHook.role": (RamHook, lambda hook, at: hook.role(EAS_ROLE)),
    "CloudMonitorHook.metrics": (CloudMonitorHook, lambda hook, at: hook.metrics("acs_pai_eas")),
    "CloudMonitorHook.ping": (CloudMonitorHook, lambda hook, at: hook.ping()),
    "CloudMonitorHook.points": (
        CloudMonitorHook,
        lambda hook, at: list(hook.points("acs_pai_eas", "x", [{"a": "b"}], period=60, start=0, end=60)),
    ),
    "PaiConnectionHook.test_connection": (PaiConnectionHook, lambda hook, at: hook.test_connection()),
    "OssCalls.abort": (OssHook, lambda hook, at: hook.abort(OssUri.parse(at.uri + "a"), "NOSUCHUPLOAD")),
    "OssCalls.begin": (OssHook, lambda hook, at: hook.begin(OssUri.parse(at.new()), {})),
    "OssCalls.complete": (OssHook, lambda hook, at: hook.complete(OssUri.parse(at.new()), "NOSUCHUPLOAD", [], {}, 1)),
    "OssCalls.call_for": (
        OssHook,
        lambda hook, at: hook.call_for("x", at.uri, lambda: hook.bucket(at.group.bucket).get_bucket_info()),
    ),
    "OssCalls.delete": (OssHook, lambda hook, at: hook.delete(at.new())),
    "OssCalls.discard": (OssHook, lambda hook, at: hook.discard(OssUri.parse(at.uri + "a"), "other")),
    "OssCalls.head": (OssHook, lambda hook, at: hook.head(at.uri + "a")),
    "OssCalls.put_bytes": (OssHook, lambda hook, at: hook.put(at.new(), b"x", overwrite=False)),
    "OssCalls.tags": (OssHook, lambda hook, at: hook.tags(at.uri + "a")),
    "OssCalls.verified": (OssHook, lambda hook, at: hook.put(at.new(), b"x")),
    "OssBuckets.need_bucket": (OssHook, lambda hook, at: hook.need_bucket("output", OssUri.parse(at.uri))),
    "OssBuckets.bucket_exists": (OssHook, lambda hook, at: hook.bucket_exists(at.group.bucket)),
    "OssBuckets.bucket_names": (OssHook, lambda hook, at: hook.bucket_names()),
    "OssBuckets.bucket_region": (OssHook, lambda hook, at: hook.bucket_region(at.group.bucket)),
    "OssBuckets.bucket_versioning": (OssHook, lambda hook, at: hook.bucket_versioning(at.group.bucket)),
    "OssBuckets.create_bucket": (OssHook, lambda hook, at: hook.create_bucket(at.group.bucket)),
    "OssBuckets.delete_bucket": (OssHook, lambda hook, at: hook.delete_bucket(f"n-{uuid.uuid4().hex}")),
    "OssBuckets.ping": (OssHook, lambda hook, at: hook.ping()),
    "OssListings.delete_folder": (OssHook, lambda hook, at: hook.delete_folder(at.uri + "new/")),
    "OssListings.delete_many": (OssHook, lambda hook, at: hook.delete_many([at.new()])),
    "OssListings.digest": (OssHook, lambda hook, at: hook.digest(OssUri.parse(at.uri))),
    "OssListings.find": (OssHook, lambda hook, at: list(hook.find(at.uri + "b/*"))),
    "OssListings.list_folder": (OssHook, lambda hook, at: hook.list_folder(at.uri + "b/")),
    "OssListings.list_objects": (OssHook, lambda hook, at: list(hook.list_objects(at.uri + "b/"))),
    "OssListings.versions": (OssHook, lambda hook, at: list(hook.versions(at.uri + "b/"))),
    "OssHook.append": (OssHook, lambda hook, at: hook.append(at.new(), b"x")),
    "OssHook.copy": (OssHook, lambda hook, at: hook.copy(at.uri + "a", at.new())),
    "OssHook.copy_folder": (OssHook, lambda hook, at: hook.copy_folder(at.uri + "b/", at.new() + "/")),
    "OssHook.download": (OssHook, lambda hook, at: hook.download(at.uri + "a", at.folder / "came")),
    "OssHook.download_folder": (OssHook, lambda hook, at: hook.download_folder(at.uri + "b/", at.folder / "all")),
    "OssHook.get": (OssHook, lambda hook, at: hook.get(at.uri + "a")),
    "OssHook.lines": (OssHook, lambda hook, at: list(hook.lines(at.uri + "a"))),
    "OssHook.presign": (OssHook, lambda hook, at: hook.presign(at.uri + "a")),
    "OssHook.put": (OssHook, lambda hook, at: hook.put(at.new(), "x")),
    "OssHook.put_once": (OssHook, lambda hook, at: hook.put_once(at.new(), uuid.uuid4().hex)),
    "OssHook.read_blocks": (OssHook, lambda hook, at: list(hook.read_blocks(at.uri + "a"))),
    "OssHook.restore": (OssHook, lambda hook, at: hook.restore(at.uri + "a")),
    "OssHook.set_storage_class": (OssHook, lambda hook, at: hook.set_storage_class(at.uri + "b/c", "IA")),
    "OssHook.set_tags": (OssHook, lambda hook, at: hook.set_tags(at.uri + "a", {"k": "v"})),
    "OssHook.upload": (OssHook, lambda hook, at: hook.upload(at.folder / "large", at.new(), part_size=100 * 1024)),
    "OssHook.upload_folder": (OssHook, lambda hook, at: hook.upload_folder(at.folder / "sent", at.new() + "/")),
    "OssHook.writer": (OssHook, write),
    "ObjectWriter.write": (OssHook, write_parts),
    "Asker.ask": (EasHook, ask),
}
QUIET = {
    *("PaiHook.client_config", "PaiHook.get_conn", "PaiHook.sibling"),
    *("WatchedHook.console_url", "WatchedHook.evidence", "DlcHook.check_body", "DswCommandHook.console_url"),
    *("OssCalls.bucket", "OssHook.console_url", "OssHook.mount_uri"),
    # What leaves write for others.
    *("PaiHook.ping", "WatchedHook.get", "JobHook.request_stop", "JobHook.submit", "JobHook.tagged"),
}
"""Methods that ask no service."""


def public_methods() -> set[str]:
    """Return the names of all methods that the package's hooks have for others."""
    package = airflow_provider_pai.hooks
    for module in walk_packages(package.__path__, f"{package.__name__}."):
        import_module(module.name)

    def kinds(base: type) -> Iterator[type]:
        yield base
        for kind in base.__subclasses__():
            yield from kinds(kind)

    methods = [value for kind in kinds(PaiHook) for value in vars(kind).values() if inspect.isfunction(value)]
    ours = [method for method in methods if method.__module__.startswith(package.__name__)]
    return {method.__qualname__ for method in ours if not method.__name__.startswith("_")}


def test_each_public_method_of_each_hook_has_a_call_here():
    assert public_methods() == CALLS.keys() - {"ObjectWriter.write", "Asker.ask"} | QUIET


def services_of(call: str) -> tuple[str, ...]:
    if call == "Asker.ask":
        return ("eas",)
    if call.startswith(("DswRunHook", "DswCommandHook")):
        return ("api", "oss")
    return ("oss",) if call.startswith(("Oss", "Object")) else ("api",)


def cases() -> list[tuple[str, str, str, int | None]]:
    slow = [kind for kind in KINDS if STALL in (fault(kind, "api") or {}).values()]
    product = [
        (call, service, kind, times)
        for call in CALLS
        for service in services_of(call)
        for kind in KINDS
        if kind not in slow and fault(kind, service) is not None
        for times in (1, None)
    ]
    return random.Random(SEED).sample(product, round(SHARE * len(product)))


def what_is_wrong(hook: PaiHook, call: Call, at: Place, fields: dict[str, Any]) -> str | None:
    """Return what is wrong with the outcome of a call, or None."""
    try:
        call(hook, at)
    except PaiApiError as error:
        if not (error.service and error.action):
            return f"names no call: {error}"
        # OSS answers HEAD without a body, the emulator's faults without x-oss-err, too.
        whole = "status" in fields and not fields.keys() & {"spoil", "drop"} and "HeadObject" not in error.action
        if (
            whole
            and error.status == fields["status"]
            and (error.code, bool(error.request_id))
            != (
                fields.get("code", "ServiceUnavailable"),
                True,
            )
        ):
            return f"has lost its code or request id: {error}"
        return None
    except (PaiError, AssertionError):
        return None
    except BaseException as error:  # noqa: BLE001 - just this is what must not come
        return f"{type(error).__module__}.{type(error).__name__}: {error}"
    return None


def test_whatever_an_answer_is_a_hook_gives_a_value_or_a_pai_error(pai, place, monkeypatch):
    wrong = []
    for name, service, kind, times in cases():
        hook_class, call = CALLS[name]
        hook = hook_class()
        monkeypatch.setattr(hook_class, "retry_seconds", 1.0)
        hook.clock = VirtualClock().clock
        fields = fault(kind, service)
        pai.account.faults.add(match=f"^{service} ", times=times, **fields)
        found = what_is_wrong(hook, call, place, fields)
        pai.account.faults.clear()
        if found:
            wrong.append(f"{name}, {kind} {'once' if times else 'always'} at {service}: {found[:200]}")
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong)
