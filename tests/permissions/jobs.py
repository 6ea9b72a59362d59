"""Stories of DLC and DSW, and of what asks all services."""

from __future__ import annotations

import uuid
from typing import Any

from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import task

from airflow_provider_pai.cli.__main__ import main
from airflow_provider_pai.cli.jobs import find_orphans
from airflow_provider_pai.exceptions import PaiJobFailedError
from airflow_provider_pai.hooks.dlc.tensorboards import TensorBoardHook
from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.hooks.pai import PaiConnectionHook
from airflow_provider_pai.operators import dlc, dsw
from airflow_provider_pai.sensors.dlc import DlcJobSensor
from airflow_provider_pai.sensors.dsw import DswInstanceSensor
from airflow_provider_pai.services import SERVICES, path_of
from tests.conftest import commit_file, git
from tests.permissions.scene import SENSOR, Act, Scene, failing, run, story
from tests.permissions.services import member
from tests.task import Task

JOB = {"ecs_spec": "ecs.g6.large", "image": "train:1", "poll_interval": 0.01}
TRAIN = 'echo m > $PAI_OUTPUT_DIR/model; echo "{}" > $PAI_OUTPUT_DIR/metrics.json'


def killed(one: Task) -> Act:
    """Return what submits a task's work and is killed."""

    def act() -> None:
        operator, context = one.make(), one.context()
        operator._remember(context, operator.hook.submit(operator.build(context, operator.identity(context), 1)))
        operator.on_kill()

    return act


@story(dlc.DlcSubmitJobOperator)
def trains(at: Scene) -> Act:
    at.oss.put(f"{at.uri}in/x", "1")
    given = {"inputs": {"data": f"{at.uri}in"}, "output": f"{at.uri}out", "parameters": {"n": 1}}
    one = run(dlc.DlcSubmitJobOperator, framework="xgboost", command=TRAIN, **given, **JOB)
    return lambda: (one.run(), one.run())


@story(dlc.DlcSubmitJobOperator)
def goes_on_at_checkpoints(at: Scene) -> Act:
    given = {"checkpoints": f"{at.uri}checkpoints", "command": "touch $PAI_CHECKPOINT_DIR/c", **JOB}
    return run(dlc.DlcSubmitJobOperator, framework="python", **given).run


@story(dlc.DlcSubmitJobOperator)
def trains_on_a_copy(at: Scene) -> Act:
    at.oss.put(f"{at.uri}in/x", "1")
    given = {"inputs": {"data": f"{at.uri}in"}, "output": f"{at.uri}out", "pin": True}
    return run(dlc.DlcSubmitJobOperator, framework="xgboost", command=TRAIN, **given, **JOB).run


@story(dlc.DlcSubmitJobOperator)
def looks_at_what_serves(at: Scene) -> Act:
    member(at)
    # As many as the task instance has: fewer would be a cleared task's, which looks at no model.
    given = {"retries": 1, "output": f"{at.uri}out", "framework": "xgboost", "command": TRAIN, **JOB}
    return run(dlc.DlcSubmitJobOperator, reuse="serving", warm_start="serving", group=at.group.name, **given).run


@story(dlc.DlcSubmitJobOperator)
def looks_at_the_newest(at: Scene) -> Act:
    given = {"retries": 1, "reuse": "latest", "output": f"{at.uri}out", "framework": "xgboost", "command": TRAIN, **JOB}
    run(dlc.DlcSubmitJobOperator, **given).run()
    return run(dlc.DlcSubmitJobOperator, **given).run


@story(dlc.DlcSubmitJobOperator)
def deferred(at: Scene) -> Act:
    return run(dlc.DlcSubmitJobOperator, framework="xgboost", command="true", deferrable=True, **JOB).run


@story(dlc.DlcSubmitJobOperator)
def fails(at: Scene) -> Act:
    return failing(run(dlc.DlcSubmitJobOperator, framework="xgboost", command="exit 1", **JOB).run, PaiJobFailedError)


@story(dlc.DlcSubmitJobOperator)
def trains_on_gpus(at: Scene) -> Act:
    given = {**JOB, "ecs_spec": None, "gpu_type": "T4", "output": f"{at.uri}out"}
    return run(dlc.DlcSubmitJobOperator, framework="xgboost", command="true > $PAI_OUTPUT_DIR/m", **given).run


@story(dlc.DlcSubmitJobOperator)
def is_killed(at: Scene) -> Act:
    return killed(run(dlc.DlcSubmitJobOperator, framework="xgboost", command="sleep 60", **JOB))


@story(dlc.DlcSubmitJobOperator)
def trains_from_git(at: Scene) -> Act:
    folder = at.file("repository/train.sh").parent
    git(folder, "init", "--quiet", "--initial-branch", "main")
    code = {"repo": f"file://{folder}", "commit": commit_file(folder / "train.sh", "true")}
    return run(dlc.DlcSubmitJobOperator, framework="xgboost", command="sh $PAI_CODE_DIR/train.sh", code=code, **JOB).run


@story("@task.pai_dlc")
def a_function(at: Scene) -> Act:
    @task.pai_dlc(task_id="task", output=f"{at.uri}out", **JOB)
    def train() -> int:
        import os
        from pathlib import Path

        Path(os.environ["PAI_OUTPUT_DIR"], "model").write_text("m")
        return 1

    operator = train().operator
    return Task(lambda: operator, run_id=uuid.uuid4().hex).run


@story("Test button")
def tests_the_connection(at: Scene) -> Act:
    def act() -> None:
        answered, told = PaiConnectionHook().test_connection()
        assert answered, told
        print(told)

    return act


@story("airflow pai jobs orphans --stop")
def stops_orphans(at: Scene) -> Act:
    for lost in (
        run(dlc.DlcSubmitJobOperator, framework="xgboost", command="sleep 60", **JOB),
        run(dsw.DswRunCommandOperator, command="sleep 60", output=f"{at.uri}out", **JOB),
    ):
        operator, context = lost.make(), lost.context()
        job = operator.hook.submit(operator.build(context, operator.identity(context), 1))
        operator.hook.wait(job, poll_interval=0.01, until=lambda one: one.status == "Running")
    hooks = [import_string(path_of(path)) for row in SERVICES.values() for path in row.orphans]

    def act() -> None:
        for orphan in find_orphans([hook() for hook in hooks], lambda maker: None):
            for _ in range(2):  # it may have ended meanwhile
                orphan.hook.request_stop(orphan.job.job_id)

    return act


def command(*arguments: str) -> None:
    """Run one of `airflow pai`'s commands; a bad end is an error."""
    try:
        main([*arguments])
    except SystemExit as ended:
        if ended.code:
            raise RuntimeError(ended.code) from ended


def trained(at: Scene) -> dict[str, Any]:
    """Return a model of pinned inputs and of a commit that somebody has trained."""
    at.oss.put(f"{at.uri}in/x", "1")
    given = {"inputs": {"data": f"{at.uri}in"}, "output": f"{at.uri}out", "pin": True, "entry_script": "t.py"}
    script = "import os; open(os.environ['PAI_OUTPUT_DIR'] + '/metrics.json', 'w').write('{}')"
    folder = at.file("repository/t.py").parent
    git(folder, "init", "--quiet", "--initial-branch", "main")
    code = {"repo": f"file://{folder}", "commit": commit_file(folder / "t.py", script)}
    made: dict[str, Any] = run(dlc.DlcSubmitJobOperator, framework="python", code=code, **given, **JOB).run()
    return made


@story("airflow pai models reproduce")
def trains_a_model_again(at: Scene) -> Act:
    made = trained(at)
    return lambda: command("models", "reproduce", made["version"], "--uri", made["uri"], "--yes")


@story("airflow pai datasets prune --delete")
def deletes_copies_that_nobody_uses(at: Scene) -> Act:
    made = trained(at)
    at.oss.delete_folder(made["uri"])
    return lambda: command("datasets", "prune", "--output", f"{at.uri}out", "--unused-for", "2099-01-01", "--delete")


@story("airflow pai cost")
def counts_what_jobs_cost(at: Scene) -> Act:
    trained(at)
    return lambda: command("cost")


@story(dlc.DlcStopJobOperator)
def stops_a_job(at: Scene) -> Act:
    return run(dlc.DlcStopJobOperator, job_id=at.job("sleep 60"), poll_interval=0.01).run


def board(at: Scene) -> str:
    """Return a TensorBoard that somebody started."""
    task_ = run(dlc.DlcStartTensorBoardOperator, log_uri=f"{at.uri}logs", poll_interval=0.01)
    found: str = task_.run()["tensorboard_id"]
    return found


@story(dlc.DlcStartTensorBoardOperator)
def shows_curves(at: Scene) -> Act:
    return run(dlc.DlcStartTensorBoardOperator, log_uri=f"{at.uri}logs", poll_interval=0.01).run


@story(dlc.DlcStartTensorBoardOperator)
def starts_again(at: Scene) -> Act:
    TensorBoardHook().stop(found := board(at))
    TensorBoardHook().wait(found, poll_interval=0.01, until=lambda one: one.status == "Stopped")
    return shows_curves(at)


@story(dlc.DlcStopTensorBoardOperator)
def stops_a_board(at: Scene) -> Act:
    one = run(dlc.DlcStopTensorBoardOperator, tensorboard_id=board(at))
    return lambda: (one.run(), one.run())


@story(DlcJobSensor)
def waits_for_a_job(at: Scene) -> Act:
    return run(DlcJobSensor, job_id=at.job(), **SENSOR).run


@story(DlcJobSensor)
def waits_deferred(at: Scene) -> Act:
    # Not over before the first look: then nobody would defer.
    return run(DlcJobSensor, job_id=at.job("sleep 1"), deferrable=True, **SENSOR).run


@story(DlcJobSensor)
def sees_a_failure(at: Scene) -> Act:
    return failing(run(DlcJobSensor, job_id=at.job("exit 1"), **SENSOR).run, PaiJobFailedError)


@story(dsw.DswRunCommandOperator)
def prepares(at: Scene) -> Act:
    one = run(dsw.DswRunCommandOperator, command="echo 1 > $PAI_OUTPUT_DIR/x", output=f"{at.uri}out", **JOB)
    return lambda: (one.run(), one.run())


@story(dsw.DswRunCommandOperator)
def prepares_for_the_last_time(at: Scene) -> Act:
    given = {"output": f"{at.uri}out", "after": "delete"}
    return run(dsw.DswRunCommandOperator, command="true", **given, **JOB).run


@story(dsw.DswRunCommandOperator)
def command_is_killed(at: Scene) -> Act:
    return killed(run(dsw.DswRunCommandOperator, command="sleep 60", output=f"{at.uri}out", **JOB))


@story(dsw.DswRunNotebookOperator)
def runs_a_notebook(at: Scene) -> Act:
    at.oss.put(f"{at.uri}n.ipynb", "{}")
    given = {"notebook": "n.ipynb", "output": f"{at.uri}out", "env": {"PATH": "/usr/bin:/bin"}}
    return failing(run(dsw.DswRunNotebookOperator, **given, **JOB).run, PaiJobFailedError)


def instance(*, stopped: bool = False) -> str:
    """Return somebody's instance."""
    body = {"InstanceName": f"i_{uuid.uuid4().hex[:8]}", "EcsSpec": "ecs.g6.large", "ImageUrl": "cpu"}
    found = DswHook().submit(body)
    DswHook().wait(found, poll_interval=0.01, until=lambda one: one.status == "Running")
    if stopped:
        DswHook().stop(found)
        DswHook().wait(found, poll_interval=0.01, until=lambda one: one.status == "Stopped")
    return found


@story(dsw.DswCreateInstanceOperator)
def creates_an_instance(at: Scene) -> Act:
    given = {"command": "true", "output": f"{at.uri}out"}
    return run(dsw.DswCreateInstanceOperator, **given, **JOB).run


@story(dsw.DswCreateInstanceOperator)
def creation_is_killed(at: Scene) -> Act:
    return killed(run(dsw.DswCreateInstanceOperator, **JOB))


@story(DswInstanceSensor)
def waits_for_an_instance(at: Scene) -> Act:
    return run(DswInstanceSensor, instance_id=instance(), **SENSOR).run


@story(dsw.DswStartInstanceOperator)
def starts_an_instance(at: Scene) -> Act:
    return run(dsw.DswStartInstanceOperator, instance_id=instance(stopped=True), poll_interval=0.01).run


@story(dsw.DswStopInstanceOperator)
def stops_an_instance(at: Scene) -> Act:
    return run(dsw.DswStopInstanceOperator, instance_id=instance(), poll_interval=0.01).run


@story(dsw.DswRegisterImageOperator)
def registers_an_image(at: Scene) -> Act:
    given = {"image_name": f"i-{uuid.uuid4().hex[:8]}", "image": "registry/image:1"}
    first, again = (run(dsw.DswRegisterImageOperator, **given, labels={"system.chipType": chip}) for chip in "CG")
    return lambda: (first.run(), again.run())


@story(dsw.DswDeleteInstanceOperator)
def deletes_an_instance(at: Scene) -> Act:
    one = run(dsw.DswDeleteInstanceOperator, instance_id=instance(), poll_interval=0.01)
    return lambda: (one.run(), one.run())
