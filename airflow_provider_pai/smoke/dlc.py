"""Probe of DLC: a job that echoes, one that is stopped while it is made, one that meets its time limit; lists."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

from airflow_provider_pai.exceptions import PaiApiError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.labels import Key
from airflow_provider_pai.remote import Json
from airflow_provider_pai.smoke.round import Leftover, Round
from airflow_provider_pai.states import Verdict
from airflow_provider_pai.versions import utc_text

_ECHO = 'echo "smoke ${BASH_VERSION:-sh}"'
_BEFORE_IT_RUNS = ("Creating", "EnvPreparing", "Bidding", "SanityChecking")


def probe_dlc(one: Round) -> None:
    """Ask for lists, run the jobs."""
    hook = one.sibling(DlcHook)
    _lists(one, hook)
    _echo(one, hook)
    _stop_early(one, hook)
    _time_limit(one, hook)


def _lists(one: Round, hook: DlcHook) -> None:
    """Ask for the longest times and the largest pages; API: ListJobs."""

    def refusal(days: int, size: int) -> str:
        start = utc_text(hook.service_clock.utc() - timedelta(days=days, hours=-1))
        query = {"WorkspaceId": hook.connection.workspace_id, "StartTime": start, "PageSize": size}
        return one.answer(lambda: hook.request("ListJobs", "2020-12-03", "GET", "/api/v1/jobs", query=query))

    answers = {days: refusal(days, 10) for days in (90, 30, 7)}
    taken = [days for days, refused in answers.items() if not refused]
    seen = ", ".join(f"{days} days: {refused or 'taken'}" for days, refused in answers.items())
    one.facts.learn("dlc_list_days", {90: 0, 30: 30, 7: 7}.get(max(taken, default=0)), seen)
    refused = refusal(7, 100)
    one.facts.learn("dlc_list_page", 50 if refused else 100, f"pages of 100: {refused or 'taken'}")


def _body(one: Round, command: str, tags: dict[str, str] | None = None, **settings: Any) -> Json:
    pod = {"Type": "Worker", "PodCount": 1, "EcsSpec": one.choice.instance_type, "Image": one.choice.image}
    return {
        "DisplayName": f"airflow-smoke-{one.key}",
        "JobType": "PyTorchJob",
        "JobSpecs": [pod],
        "UserCommand": command,
        "Settings": {"Tags": {**one.labels, **(tags or {})}},
        "JobMaxRunningTimeMinutes": 30,
        **settings,
    }


def _echo(one: Round, hook: DlcHook) -> None:
    """Run a job that says a word, with a tag that the tag rule forbids where that is taken."""
    forbidden = {f"{Key.SMOKE}_url": "http://airflow.example"}
    refused = ""
    try:
        job_id = hook.submit(_body(one, _ECHO, forbidden))
    except PaiApiError as error:
        refused = f"{error.status} {error.code}"
        job_id = hook.submit(_body(one, _ECHO))
    with one.made(f"DLC job {job_id}", partial(take_job_away, one, hook, job_id)):
        one.facts.learn("dlc_tags", "ruled" if refused else "free", f"a tag with http://: {refused or 'taken'}")
        began = hook.clock.monotonic()
        one.wait("the job in ListJobs", lambda: hook.tagged(one.labels) or None)
        one.facts.learn("list_lag", None, f"ListJobs shows a new job after {hook.clock.monotonic() - began:.1f} s")
        job = hook.wait(job_id, poll_interval=one.choice.pause, deadline=hook.clock.utc() + one.choice.patience)
        told = hook.log_tail(job, 1)
        one.facts.learn("dlc_echo", None, f"{job.status}: {told or 'no log yet'}")
        shell = "sh" if told.endswith("smoke sh") else "bash"
        one.facts.learn("dlc_shell", shell if "smoke" in told else None, f"the job's shell: {told or 'no log yet'}")


def _stop_early(one: Round, hook: DlcHook) -> None:
    """Stop a job at once; API: StopJob."""
    job_id = hook.submit(_body(one, "sleep 600"))
    with one.made(f"DLC job {job_id}", partial(take_job_away, one, hook, job_id)):
        refused = one.answer(lambda: _stop(hook, job_id))
        # What it was then: at once if that was refused, before its end if it was stopped.
        went = [str(entry.get("Status")) for entry in hook.describe(job_id).get("StatusHistory") or []]
        status = next((each for each in (went if refused else went[::-1]) if each not in ("Stopping", "Stopped")), "")
        known = status in _BEFORE_IT_RUNS
        position = ("refused" if refused else "accepted") if known else None
        one.facts.learn("dlc_stop_creating", position, f"a stop of a job that is {status}: {refused or 'taken'}")


def _time_limit(one: Round, hook: DlcHook) -> None:
    """Let a job meet its time limit of a minute."""
    job_id = hook.submit(_body(one, "sleep 600", JobMaxRunningTimeMinutes=1))
    with one.made(f"DLC job {job_id}", partial(take_job_away, one, hook, job_id)):
        job = hook.wait(job_id, poll_interval=one.choice.pause, deadline=hook.clock.utc() + one.choice.patience)
        known = job.status if job.status in ("Stopped", "Failed") else None
        one.facts.learn("dlc_time_limit", known, f"{job.status}: {job.reason_code}: {job.reason}")


def take_job_away(one: Round, hook: DlcHook, job_id: str) -> None:
    """Stop a job, and delete it once it has ended."""
    one.bring_to_rest(hook, job_id, partial(_stop, hook, job_id), (Verdict.SUCCEEDED, Verdict.FAILED))
    hook.delete(job_id)


def _stop(hook: DlcHook, job_id: str) -> None:
    """Ask for a stop once, as it is: the hook would ask again."""
    hook.call("StopJob", lambda: hook.client.stop_job(job_id), repeatable=False)


def leftover_jobs(one: Round) -> Iterator[Leftover]:
    """Yield what an earlier round has left."""
    hook = one.sibling(DlcHook)
    for job in hook.tagged(one.labels):
        yield f"DLC job {job.job_id}", partial(take_job_away, one, hook, job.job_id)
