"""Causes: what tells each, which failures are alike, and which of them is the last."""

from __future__ import annotations

import pytest

from airflow_provider_pai.causes import (
    CAUSES,
    Again,
    Cause,
    Diagnosis,
    Evidence,
    RetryOn,
    diagnose,
    last_exception,
    reason_in_words,
    why_last,
)

HEAD = 'Traceback (most recent call last):\n  File "train.py", line 3, in <module>\n    main()\n'
SEEN = (
    '{"overview":"PyTorchJob dlc1 failed because 1 Master replica(s) failed.",'
    '"content":[{"time":"1772684043","pods":{"Master":[0]},"reason":"%s"}]}'
)


def failed(code, **more):
    """Return a job that failed with an exit code, as it has been seen on the cloud."""
    return Evidence(**{"status": "Failed", "reason_code": "JobFailed", "reason": SEEN % code, **more})


def logged(text, code=1, **more):
    return failed(code, logs=[text], **more)


TABLE = [
    (Evidence(status="Stopped", reason_code="JobStoppedByUser", reason="Job is stopped by user."), "stopped", None),
    (Evidence(status="Stopped"), "stopped", None),
    (Evidence(status="Failed", reason="its time limit of 1 hour has passed: x"), "timeout", None),
    (Evidence(status="Stopped", reason_code="JobMaxRunningTimeExceeded"), "timeout", None),
    (failed(143, pods="Normal Evicted"), "preempted", 143),
    (
        Evidence(reason_code="JobFailed", reason="pods were preempted by another job"),
        "preempted",
        None,
    ),
    (Evidence(status="Failed", reason_code="ResourceAllocateFailed"), "quota", None),
    (Evidence(reason_code="Resource.InsufficientResource"), "quota", None),
    (Evidence(events="Warning the resource type is not enough"), "quota", None),
    (Evidence(events="Warning Back-off pulling image: ImagePullBackOff"), "image", None),
    (Evidence(status="Failed", reason_code="InvalidParameter", reason="NoSuchBucket"), "config", None),
    (failed(137), "out_of_memory", 137),
    (failed(1, reason="OOMKilled: exited with code 1"), "out_of_memory", 1),
    (logged(f"{HEAD}torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"), "out_of_memory", 1),
    (logged(f"{HEAD}MemoryError"), "out_of_memory", 1),
    (
        logged("ERROR:torch.distributed.elastic.multiprocessing.api:failed (exitcode: -9) local_rank: 0"),
        "out_of_memory",
        1,
    ),
    (logged("terminate called after throwing an instance of 'std::bad_alloc'", 134), "out_of_memory", 134),
    (failed(128), "node", 128),
    (failed(245), "node", 245),
    (logged("ssh: connect to host dlc1-worker-0 port 22: No route to host", 255), "node", 255),
    (logged(f"{HEAD}torch.distributed.DistBackendError: NCCL error: remote process exited"), "node", 1),
    (logged(f"{HEAD}RuntimeError: CUDA error: uncorrectable ECC error encountered"), "node", 1),
    (failed(1), "code", 1),
    (failed(127), "code", 127),
    (logged(f"{HEAD}ImportError: No module named x"), "code", 1),
    (Evidence(status="RunFailed", reason_code="CommandFailed", reason="the command exited with 3"), "code", 3),
    (Evidence(status="RunFailed", exit_code=3), "code", 3),
    # A pull that was tried again and worked is over, and so is a pod that was restarted.
    (logged(f"{HEAD}ValueError: x", events="ErrImagePull, Evicted"), "code", 1),
    (Evidence(status="Failed", reason_code="EmulatorRestarted"), "unknown", None),
    (Evidence(), "unknown", None),
]


def test_of_a_notebook_it_tells_the_cell():
    log = "[0] The notebook failed in cell 7: ConnectionError: no answer\nexecuted notebook: oss://b/run/executed.ipynb"
    found = diagnose(Evidence(exit_code=1, logs=[log]))
    assert found == Diagnosis(Cause.CODE, 1, "ConnectionError: no answer", "cell 7")
    assert (str(found), found.again) == ("code: cell 7: ConnectionError: no answer", Again.ALWAYS)


@pytest.mark.parametrize(("seen", "cause", "code"), TABLE)
def test_the_first_sign_that_is_found_tells_the_cause(seen, cause, code):
    found = diagnose(seen)
    assert (found.cause, found.exit_code) == (cause, code)


def test_every_cause_is_told_by_something_and_means_something():
    assert {cause for _, cause, _ in TABLE} == set(Cause) == set(CAUSES)
    advice = [meaning.todo for cause, meaning in CAUSES.items() if cause is not Cause.UNKNOWN]
    assert all(advice)
    assert len(set(advice)) == len(advice)


CELL = "nbclient.exceptions.CellExecutionError: An error occurred while executing a cell:\n----\nx()\n----\n"
CHILD = f"{HEAD}torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n====\ntrain.py FAILED\n"


@pytest.mark.parametrize(
    ("log", "exception"),
    [
        ("", ""),
        ("ValueError: a line that a program wrote", ""),
        (f"{HEAD}ValueError: bad\nbye", "ValueError: bad"),
        (f"{HEAD}KeyError: 1\n\nDuring handling of the above exception…\n\n{HEAD}OSError: 2", "OSError: 2"),
        (f"{HEAD}KeyboardInterrupt", "KeyboardInterrupt"),
        ('  File "train.py", line 1\n    x(\n     ^\nSyntaxError: never closed', "SyntaxError: never closed"),
        ("\n".join(f"[rank0]: {line}" for line in f"{HEAD}ValueError: bad".splitlines()), "ValueError: bad"),
        (f"{HEAD}{CELL}\nValueError: in a cell\n", "ValueError: in a cell"),
        (f"{HEAD}ValueError: in a process\n{CHILD}", "ValueError: in a process"),
        (f"{HEAD}ValueError: {'x' * 1000}", f"ValueError: {'x' * 288}"),
    ],
)
def test_the_last_traceback_of_a_log_ends_with(log, exception):
    assert last_exception(log) == exception


def test_a_pod_that_only_lost_another_does_not_hide_why():
    lost = f"{HEAD}torch.distributed.DistBackendError: NCCL error: remote process exited"
    assert diagnose(failed(1, logs=[lost, f"{HEAD}ValueError: x"])).exception == "ValueError: x"
    assert diagnose(failed(1, logs=[lost, ""])).cause is Cause.NODE


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("ValueError: row 17 at 0x7fe2", "ValueError: row 9 at 0x1234ab", True),
        ("FileNotFoundError: /data/dlc1q9arre48b0kx/x", "FileNotFoundError: /data/dlc3fqarre48b0kx/x", True),
        ("ValueError: row 17", "KeyError: row 17", False),
        ("ValueError: no label", "ValueError: no rows", False),
    ],
)
def test_numbers_and_ids_do_not_make_another_failure(one, other, alike):
    first, second = (Diagnosis(Cause.CODE, 1, text) for text in (one, other))
    assert (first.signature == second.signature) is alike
    assert first.signature != first._replace(exit_code=2).signature
    assert first.signature != first._replace(cause=Cause.NODE).signature


PASSING = [
    "ConnectionResetError: [Errno 104] Connection reset by peer",
    "requests.exceptions.ReadTimeout: HTTPSConnectionPool",
    "urllib3.exceptions.MaxRetryError: HTTPConnectionPool",
    "TimeoutError",
    "OSError: [Errno 110] Connection timed out",
    "socket.gaierror: [Errno -3] Temporary failure in name resolution",
    "oss2.exceptions.RequestError: {'status': -2, 'details': 'Connection refused'}",
]


@pytest.mark.parametrize(
    "exception", [*PASSING, "ValueError: the timeout column", "KeyError: connection", "ImportError"]
)
def test_code_that_could_not_reach_something_may_reach_it_later(exception):
    assert Diagnosis(Cause.CODE, 1, exception).again is (Again.ALWAYS if exception in PASSING else Again.ONCE)
    assert Diagnosis(Cause.CONFIG, 1, exception).again is Again.NEVER


def test_which_failure_is_the_last():
    def of(cause):
        return Diagnosis(cause, 1, "ValueError: x")

    def unread():
        raise AssertionError("what came before does not matter")
        yield

    for cause, meaning in CAUSES.items():
        assert not why_last(of(cause), RetryOn.ALWAYS, unread())
        assert bool(why_last(of(cause), RetryOn.INFRASTRUCTURE, unread())) is (meaning.again is not Again.ALWAYS)
        if meaning.again is not Again.ONCE:
            assert bool(why_last(of(cause), RetryOn.AUTO, unread())) is (meaning.again is Again.NEVER)
            continue
        assert not why_last(of(cause), RetryOn.AUTO, [])
        other = Diagnosis(cause, 2, "ValueError: x")
        assert not why_last(of(cause), RetryOn.AUTO, [("dlc1", other)])
        assert "dlc0" in why_last(of(cause), RetryOn.AUTO, [("dlc1", other), ("dlc0", of(cause))])


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (SEEN % 137, "PyTorchJob dlc1 failed because 1 Master replica(s) failed. (Master 0: exit code 137)"),
        ("The job failed.", "The job failed."),
        ("", ""),
        ("[1]", "[1]"),
        ('{"content": [{"reason": "Evicted"}]}', '{"content": [{"reason": "Evicted"}]}'),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_a_reason_is_told_in_words(reason, words):
    assert reason_in_words(reason) == words
