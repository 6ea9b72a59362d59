"""Paths of DLC and DSW: one job, at rest, its artifact complete."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.operators import dlc, dsw
from airflow_provider_pai.sensors.dlc import DlcJobSensor
from tests.fire.stage import Play, new, path, rows, same, status, task
from tests.permissions.jobs import JOB, TRAIN, board, instance
from tests.permissions.scene import SENSOR, Scene


@path(deferrable=True)
def train(at: Scene, deferrable: bool) -> Play:
    at.oss.put(f"{at.uri}in/x", "1")
    given = {"inputs": {"data": f"{at.uri}in"}, "output": f"{at.uri}out", "parameters": {"n": 1}, "log_interval": 1}
    jobs = new(at, "dlc-job")
    one = task(dlc.DlcSubmitJobOperator, framework="xgboost", command=TRAIN, deferrable=deferrable, **{**JOB, **given})

    def kept(end: Any) -> Iterator[str]:
        yield from same("jobs", jobs, ["Succeeded"])
        yield from same("artifact", end and at.oss.head(f"{end['uri']}_manifest.json") is not None, True)
        yield from same("rows", rows("artifact_produced"), 1)
        yield from same(
            "versions", len({info.uri.key.split("/")[1] for info in at.oss.list_objects(f"{at.uri}out/2")}), 1
        )

    return Play(one, kept)


@path()
def stop_job(at: Scene, _: bool) -> Play:
    job = at.job("sleep 60")

    one = task(dlc.DlcStopJobOperator, job_id=job, poll_interval=0.01)
    return Play(one, lambda end: same("job", status(at, "dlc-job", job), "Stopped"))


@path(deferrable=True)
def wait_for_job(at: Scene, deferrable: bool) -> Play:
    job = at.job()
    one = task(DlcJobSensor, job_id=job, deferrable=deferrable, **SENSOR)
    return Play(one, lambda end: same("job", end and end["status"], "Succeeded"))


@path()
def start_board(at: Scene, _: bool) -> Play:
    boards = new(at, "dlc-tensorboard")
    one = task(dlc.DlcStartTensorBoardOperator, log_uri=f"{at.uri}logs", poll_interval=0.01)
    return Play(one, lambda end: same("boards", boards, ["Running"]))


@path()
def stop_board(at: Scene, _: bool) -> Play:
    boards = new(at, "dlc-tensorboard")
    one = task(dlc.DlcStopTensorBoardOperator, tensorboard_id=board(at))
    return Play(one, lambda end: same("boards", boards, ["Stopped"]))


@path(deferrable=True)
def prepare_data(at: Scene, deferrable: bool) -> Play:
    instances = new(at, "dsw-instance")
    one = task(
        dsw.DswRunCommandOperator,
        command="echo 1 > $PAI_OUTPUT_DIR/x",
        output=f"{at.uri}out",
        deferrable=deferrable,
        log_interval=1,
        **JOB,
    )

    def kept(end: Any) -> Iterator[str]:
        yield from same("instances", instances, ["Stopped"])
        yield from same("output", end and at.oss.get(f"{end['output']}x"), b"1\n")
        yield from same("rows", rows("run_finished"), 1)

    return Play(one, kept)


def _instance_path(kind: type, rest: str, *, stopped: bool) -> Any:
    def prepare(at: Scene, _: bool) -> Play:
        name = instance(stopped=stopped)

        def kept(end: Any) -> Iterator[str]:
            yield from same("instance", status(at, "dsw-instance", name), rest)
            if rest == "Running":
                DswHook().stop(name)

        return Play(task(kind, instance_id=name, **({} if rest == "gone" else {"poll_interval": 0.01})), kept)

    prepare.__name__ = {"Running": "start_instance", "Stopped": "stop_instance", "gone": "delete_instance"}[rest]
    return prepare


path()(_instance_path(dsw.DswStartInstanceOperator, "Running", stopped=True))
path()(_instance_path(dsw.DswStopInstanceOperator, "Stopped", stopped=False))
path()(_instance_path(dsw.DswDeleteInstanceOperator, "gone", stopped=True))
