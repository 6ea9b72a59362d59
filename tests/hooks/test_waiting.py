"""The job's log in the task's log: each line once, in order, with a note where some are missing."""

from __future__ import annotations

import logging
import re
import time

import pytest

from airflow_provider_pai.exceptions import PaiPermissionError, PaiTransientError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.waiting import PATIENCE, LogCopy, Patience, advance, marks, unseen
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.dsw import DswRunCommandOperator
from airflow_provider_pai.remote import RemoteJob
from tests.clock import VirtualClock
from tests.task import Task

EXPIRED = PaiPermissionError("dlc", "GetJob", "expired", "InvalidSecurityToken.Expired", 400)
DENIED = PaiPermissionError("dlc", "GetJob", "denied", "Forbidden.RAM", 403)
LOST = PaiTransientError("dlc", "GetJob", "lost", "Timeout")


def borne(given, **how):
    """Return for how many seconds of a wait's looks, one every ten minutes, each error is borne."""
    time = VirtualClock()
    patience = Patience(time.clock, logging.getLogger("tests.waiting"), **how)
    for error in given:
        if error is None:
            patience.answered()
        else:
            try:
                patience.bear(error)
            except PaiPermissionError:
                break
        time.clock.sleep(600)
    return time.clock.monotonic() - VirtualClock().clock.monotonic()


@pytest.mark.parametrize(
    ("given", "how", "seconds"),
    [
        ([EXPIRED], {"paid": False}, 0),  # nothing was made: a wrong key is told at once
        ([DENIED], {"paid": False}, 0),
        ([LOST] * 100, {"paid": False}, 60_000),
        ([EXPIRED] * 100, {"paid": True}, PATIENCE),
        ([DENIED] * 100, {"paid": True}, PATIENCE),
        ([None, *[DENIED] * 100], {"paid": False}, 600 + PATIENCE),
        ([EXPIRED, EXPIRED, None, *[EXPIRED] * 100], {"paid": True}, 1800 + PATIENCE),
        ([DENIED], {"paid": True, "denials": False}, 0),
        ([EXPIRED] * 100, {"paid": True, "denials": False}, PATIENCE),
    ],
)
def test_patience(given, how, seconds):
    assert borne(given, **how) == seconds


def test_a_refusal_that_is_borne_says_first_what_to_do(caplog):
    borne([EXPIRED, DENIED], paid=True)
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("REFUSED, waiting on for 1 hour: put a key that works into the connection")
    assert second.startswith("REFUSED, waiting on for 50 minutes: allow it in RAM")


@pytest.mark.parametrize(
    ("lines", "seen", "new"),
    [
        ("abc", "", "abc"),
        ("abc", "abc", ""),
        ("abcd", "abc", "d"),
        ("bcde", "abc", "de"),  # the answer begins later than what was seen
        ("xabcd", "abc", "d"),  # the answer begins earlier
        ("cd", "abc", "d"),
        ("xyz", "abc", "xyz"),  # nothing in common
        ("aab", "aa", "b"),
        ("", "abc", ""),
    ],
)
def test_unseen(lines, seen, new):
    assert "".join(lines[unseen(list(lines), marks(list(seen))) :]) == new


def test_a_growing_log_is_copied_once_whatever_the_window(monkeypatch):
    log = [f"line {n}" for n in range(1000)]
    cursor, copied = {}, []
    for end in (3, 3, 40, 400, 401, 1000):
        start = max(0, end - 600)
        copied += advance(cursor, "pod", log[start:end], full=False)
    assert copied[:401] == [f"[pod] line {n}" for n in range(401)]
    assert copied[401] == "[pod] … 99 lines are left out here"
    assert copied[402:] == [f"[pod] line {n}" for n in range(500, 1000)]


def test_a_gap_is_told():
    cursor = {}
    advance(cursor, "pod", ["a", "b"], full=False)
    assert advance(cursor, "pod", ["y", "z"], full=True) == ["[pod] … lines are left out here", "[pod] y", "[pod] z"]


@pytest.mark.parametrize("line", ["half a pair \ud83d of surrogates", "x" * 20_000_000, "\0\x1b[1m"])
def test_any_line_is_copied_once_and_can_be_written(line):
    cursor = {}
    copied = [advance(cursor, "pod", [line, "the next"], full=False) for _ in range(2)]
    assert [len(lines) for lines in copied] == [2, 0]
    assert len("".join(copied[0]).encode()) < 3000


def test_an_error_ends_with_bounded_lines_of_as_many_pods_as_there_is_room_for(connection):
    """Failed pods first; nobody is asked for the log of a pod that is not shown."""
    pods = [{"PodId": f"pod-{number}", "Status": "Succeeded" if number else "Failed"} for number in reversed(range(99))]
    hook, asked = DlcHook(), []
    hook.describe = lambda _: {"Pods": pods}
    hook.pod_logs = lambda _, pod: asked.append(pod) or ["y" * 1_000_000] * 29 + [f"\x1b[31m{pod}\x1b[0m ends \udcff"]
    *lines, last = hook.last_words(RemoteJob(job_id="dlc1", status="Failed")).splitlines()
    assert (asked[0], len(asked)) == ("pod-0", 2)
    assert lines[29] == "[pod-0] pod-0 ends ?"
    assert (len(lines), max(map(len, lines)) < 600) == (60, True)
    assert last == f"… 97 more pods: {hook.console_url('dlc1')}"


def arguments(bucket, **changes):
    common = {"task_id": "task", "ecs_spec": "ecs.g6.large", "image": "i", "poll_interval": 0.02, "log_interval": 0.05}
    return {**common, **changes}


def copied(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "tests.copied"]


@pytest.fixture
def job_log(caplog, monkeypatch, connection):
    """Airflow's own task logger does not propagate: let the hooks log to one that does."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("airflow_provider_pai.hooks.base.PaiHook.log", logging.getLogger("tests.copied"), raising=False)
    return lambda: [line for line in copied(caplog) if re.search(r" n\d$", line)]


@pytest.mark.parametrize("deferrable", [False, True])
def test_all_pods_of_a_job(bucket, job_log, deferrable):
    script = "for i in 1 2 3; do echo rank $RANK n$i; sleep 0.1; done"
    make = lambda: DlcSubmitJobOperator(  # noqa: E731
        framework="pytorch", workers=2, command=script, deferrable=deferrable, **arguments(bucket)
    )
    job_id = Task(make, run_id=f"{bucket.bucket_name}{deferrable}").run()["job_id"]
    for rank, pod in enumerate(("master-0", "worker-0")):
        mine = [line for line in job_log() if pod in line]
        assert mine == [f"[{job_id}-{pod}] rank {rank} n{i}" for i in (1, 2, 3)]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_run_on_an_instance(bucket, job_log, deferrable):
    make = lambda: DswRunCommandOperator(  # noqa: E731
        command="for i in 1 2; do echo line n$i; sleep 0.1; done; printf 'line n3'",
        deferrable=deferrable,
        run_uri=f"oss://{bucket.bucket_name}/runs",
        **arguments(bucket),
    )
    Task(make, run_id=f"{bucket.bucket_name}{deferrable}").run()
    assert job_log() == [f"line n{i}" for i in (1, 2, 3)]


def test_a_log_that_can_not_be_read_fails_no_task(bucket, pai, job_log):
    pai.account.faults.add(match="api GetPodLogs", status=403, code="Forbidden.RAM")
    make = lambda: DlcSubmitJobOperator(framework="pytorch", command="echo n1", **arguments(bucket))  # noqa: E731
    assert Task(make, run_id=bucket.bucket_name).run()["status"] == "Succeeded"


def test_who_takes_over_goes_on_without_a_repetition(job_log, caplog):
    spec = {"Type": "Worker", "PodCount": 1, "Image": "i", "EcsSpec": "ecs.g6.large"}
    hook = DlcHook()
    job_id = hook.submit(
        {
            "DisplayName": "x",
            "JobType": "PyTorchJob",
            "UserCommand": "echo rank n1; sleep 0.6; echo rank n2",
            "JobSpecs": [spec],
        }
    )
    hook.wait(job_id, poll_interval=0.02, until=lambda job: job.status == "Running")
    time.sleep(0.3)
    copy = LogCopy(hook, job_id, 1, taken_over=True)
    copy.look()
    hook.wait(job_id, poll_interval=0.02)
    copy.look()
    assert [line.split("] ")[1] for line in job_log()] == ["rank n2"]
    assert any("lines are left out here: https://pai.console" in line for line in copied(caplog))


def test_zero_switches_it_off(bucket, job_log):
    make = lambda: DlcSubmitJobOperator(  # noqa: E731
        framework="pytorch", command="echo rank n1", **arguments(bucket, log_interval=0)
    )
    Task(make, run_id=bucket.bucket_name).run()
    assert job_log() == []
    assert not LogCopy(DlcHook(), "j", 0).due(final=True)
