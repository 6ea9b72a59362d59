"""However a task ends without its job, the job is asked to stop within 30 seconds."""

from __future__ import annotations

import time

DEFERRED = ("deferred", "kept", "called_done", "late")
IN_WORKER = ("in_worker", "called_done_in_worker", "cleared_in_worker", "late_in_worker")


def triggerer_of(run, task_id="deferred"):
    return (run.task(task_id)["triggerer_job"] or {}).get("id")


def until_watched(run, task_id):
    """Return when a triggerer runs the task's trigger: before that nothing of ours can notice that it is ended.

    The scheduler, too, needs a moment: a task that is cleared before its worker's end was noticed fails in Airflow 3.
    """
    run.until(f"{task_id} is deferred", lambda: run.task(task_id)["state"] == "deferred")
    run.until(f"a triggerer has {task_id}", lambda: triggerer_of(run, task_id) is not None)
    time.sleep(3)


def test_every_way_out(run):
    short, one = run("short"), run("kill")
    for task_id in ("deferred", "in_worker"):
        short.until(f"{task_id} has a job", lambda task_id=task_id: short.job_status(task_id) != "none", timeout=60)
    for task_id in (*DEFERRED, *IN_WORKER):
        one.until(f"{task_id} has a job", lambda task_id=task_id: one.job_status(task_id) != "none", timeout=60)
    for task_id in ("deferred", "kept", "called_done"):
        until_watched(one, task_id)
    for task_id in ("kept", "deferred", "in_worker"):
        one.mark(task_id, "failed")
    for task_id in ("called_done", "called_done_in_worker"):
        one.mark(task_id, "success")
    one.clear("cleared_in_worker")
    for task_id in ("deferred", "in_worker", "called_done", "called_done_in_worker", "late", "late_in_worker"):
        one.until(f"{task_id}'s job is stopped", lambda task_id=task_id: one.job_status(task_id) == "Stopped")
        assert len(one.jobs(task_id)) == 1
    one.until("the cleared one's job is stopped", lambda: one.jobs("cleared_in_worker")[0]["Status"] == "Stopped")
    one.until("it has a new one", lambda: one.jobs("cleared_in_worker")[1:] != [], timeout=60)
    one.mark("cleared_in_worker", "failed")
    one.until("which is stopped in its turn", lambda: one.job_status("cleared_in_worker") == "Stopped")
    assert len(one.jobs("cleared_in_worker")) == 2
    for task_id in ("deferred", "in_worker"):
        short.until(f"{task_id} went with its run", lambda task_id=task_id: short.job_status(task_id) == "Stopped")
        assert short.task(task_id)["state"] == "skipped"
    one.until(
        "the timed-out tasks failed", lambda: {one.task(t)["state"] for t in ("late", "late_in_worker")} == {"failed"}
    )
    assert one.job_status("kept") == "Running"
    (kept,) = one.jobs("kept")
    assert (
        f"DLC job {kept['JobId']} (Running), made by kill.kept of run {one.run_id}: the task is finished (failed)"
        in one.cli("pai", "jobs", "orphans")
    )
    assert one.job_status("kept") == "Running"
    assert "; stopped" in one.cli("pai", "jobs", "orphans", "--stop")
    one.until("the orphan is stopped", lambda: one.job_status("kept") == "Stopped")


def test_a_clear_of_a_deferred_task_leaves_one_job(run):
    one = run("wait")
    until_watched(one, "deferred")
    # SQLite gives the highest id again once its row is gone: the triggerer would take the new trigger for the old one.
    later = run("wait")
    until_watched(later, "deferred")
    one.clear("deferred")
    one.until("a second job runs", lambda: len(one.jobs("deferred")) == 2 and one.job_status("deferred") == "Running")
    assert one.jobs("deferred")[1]["JobId"] not in one.cli("pai", "jobs", "orphans")
    one.until("the first is stopped", lambda: one.jobs("deferred")[0]["Status"] == "Stopped")
    later.mark("deferred", "failed")


def test_a_triggerer_that_restarts_stops_nothing(run, stack):
    one = run("wait")
    until_watched(one, "deferred")
    first = triggerer_of(one)
    stack.stop("triggerer")
    stack.start("triggerer")
    one.until("the new triggerer holds it", lambda: triggerer_of(one) not in (None, first), timeout=90)
    assert one.job_status("deferred") == "Running"
    one.mark("deferred", "failed")
    one.until("stopped", lambda: one.job_status("deferred") == "Stopped")
    assert len(one.jobs("deferred")) == 1
