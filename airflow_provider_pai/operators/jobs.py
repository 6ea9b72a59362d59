"""Base of the operators that run a job: exactly one submit, one wait, one finish."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from airflow.providers.common.compat.sdk import Stats, conf

from airflow_provider_pai.exceptions import PaiError, PaiNotFoundError, PaiTimeoutError, PaiTransientError
from airflow_provider_pai.hooks.waiting import LogCopy
from airflow_provider_pai.identity import Decision, TaggedJob, TaskIdentity, decide
from airflow_provider_pai.links import PaiLink
from airflow_provider_pai.operators.base import PaiOperator, deadline_of
from airflow_provider_pai.remote import DEFAULT_POLL_INTERVAL, Json, RemoteJob
from airflow_provider_pai.states import Verdict
from airflow_provider_pai.triggers.job import PaiJobTrigger

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.base import JobHook

# Key of the task's state store (Airflow 3.3+): the time of a submit before it is made, then the job's id.
STATE_KEY = "pai_job"

# A submit whose answer was lost is looked for this long before it is made again: lists may lag.
SETTLE_SECONDS = 15.0
_SUBMIT_ATTEMPTS = 5

# A killed task has five seconds; for so long it looks for the job of a submit that has not been answered.
_KILL_LOOK_SECONDS = 3.0

JobHookT = TypeVar("JobHookT", bound="JobHook")


class PaiJobOperator(PaiOperator[JobHookT]):
    """Base of the operators that run a job: exactly one, whatever happens to the worker.

    :param deferrable: wait in the triggerer.
    :param poll_interval: seconds between two looks at the job.
    :param cancel_on_kill: stop the job when the task is killed, marked, cleared or timed out.
    :param log_interval: seconds between two looks at the job's own log, which is copied into the task's; 0: it is not.
    """

    link: ClassVar[type[PaiLink]]

    def __init__(
        self,
        *,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        cancel_on_kill: bool = True,
        log_interval: float = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.cancel_on_kill = cancel_on_kill
        self.log_interval = log_interval
        self._job_id: str | None = None
        self._sought: TaskIdentity | None = None
        self._killed = False

    @abstractmethod
    def build(self, context: Any, identity: TaskIdentity, generation: int) -> Json:
        """Return the body of the submit with the generation's tags.

        :raises PaiConfigError: bad input; nothing has been created yet.
        """

    @abstractmethod
    def result(self, context: Any, identity: TaskIdentity, generation: int, job: RemoteJob) -> Any:
        """Return the XCom of a job that has succeeded, and write its ledger rows."""

    def pre_execute(self, context: Any) -> None:
        """Let `on_kill` find the job of a task that resumes: 2.11 times it out before `execute_complete`."""
        super().pre_execute(context)
        if getattr(context["ti"], "next_method", None):
            self._sought = self.identity(context)

    def execute(self, context: Any) -> Any:
        """Find this task's job or submit it, then wait for it."""
        with self._leaving(context):
            job_id = self._find_or_submit(context, self.identity(context))
            self._remember(context, job_id)
            job = self._wait(context, self.hook.get(job_id))
        return self.finish(context, job)

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> Any:
        """Go on where the trigger left off."""
        self._job_id = event["job_id"]
        if "job" in event:
            return self.finish(context, RemoteJob(**event["job"]))
        with self._leaving(context):
            job = self.hook.get(self._job_id)  # what the trigger met, the worker meets too, as a typed error
            if event.get("timed_out"):
                raise PaiTimeoutError(f"{job.job_id} was {job.status} when execution_timeout passed")
            if not self.hook.states.is_final(job.status):
                raise PaiError(event["error"])
        return self.finish(context, job)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Stop the job before a failure of the trigger itself fails the last try: its event has lost the job's id."""
        if next_method == "__fail__":
            jobs = self.hook.find(self.identity(context))
            self._job_id = decide(jobs, self.identity(context).cycle, self.hook.states).job_id
            self._leave(context)
        return super().resume_execution(next_method, next_kwargs, context)

    def finish(self, context: Any, job: RemoteJob) -> Any:
        """Turn a job that has ended into the task's result: the one end of every path.

        :raises PaiJobFailedError: with the reason and the last lines of the logs.
        """
        hook = self.hook
        if hook.states.judge(job.status) is not Verdict.SUCCEEDED:
            Stats.incr("pai.job.failed", tags={"service": hook.service})
            raise hook.failure(job)
        generation = job.tagged.generation if job.tagged else 1
        return self.result(context, self.identity(context), generation, job)

    def on_kill(self) -> None:
        """Ask for the stop; Airflow 3 gives five seconds, in which the task goes on where it was interrupted."""
        self._killed = True
        self.hook.retry_seconds = 3
        self._stop()

    def _stop(self) -> None:
        """Ask for the stop of what this process waits for, or of jobs whose id it has not."""
        if not self.cancel_on_kill:
            return
        for job_id in [self._job_id] if self._job_id else self._found():
            self.log.info("Stopping %s %s", self.hook.states.kind, job_id)
            self.hook.request_stop(job_id)
            Stats.incr("pai.job.stopped", tags={"service": self.hook.service})

    def _found(self) -> list[str]:
        """Return the jobs of a submit that is under way, whose answer may come too late, or of a task that resumes."""
        end = time.monotonic() + _KILL_LOOK_SECONDS
        while self._sought is not None:
            decision = decide(self.hook.find(self._sought), self._sought.cycle, self.hook.states)
            jobs = [*filter(None, [decision.job_id]), *decision.stop]
            if jobs or time.monotonic() > end:
                return jobs
            time.sleep(0.3)
        return []

    def _find_or_submit(self, context: Any, identity: TaskIdentity) -> str:
        hook = self.hook
        stored = self._stored(context)
        first = identity.try_number <= 1 and not stored
        decision = decide(self._jobs(identity, stored.get("job_id")), identity.cycle, hook.states, first=first)
        if decision.job_id is None and not first:
            decision = self._look_for(identity, decision, self._settling(context, identity))
        self._stop_all(decision.stop)
        if decision.job_id is not None:
            self.log.info("Going on with %s %s of an earlier try", hook.states.kind, decision.job_id)
            Stats.incr("pai.job.reattached", tags={"service": hook.service})
            return decision.job_id
        body = self.build(context, identity, decision.generation)
        self._job_id = job_id = self._submit(context, body, identity, decision)
        Stats.incr("pai.job.submitted", tags={"service": hook.service})
        if self._killed:
            self._stop()
        decision = decide(self._jobs(identity, job_id), identity.cycle, hook.states)
        self._stop_all(decision.stop)
        return decision.job_id or job_id

    def _jobs(self, identity: TaskIdentity, job_id: str | None = None) -> list[TaggedJob]:
        """Return the task's jobs as they are now, and one whose id is known: lists may be behind."""
        listed = self.hook.find(identity)
        jobs: dict[str, TaggedJob | None] = {job.job_id: job for job in listed}
        unsure = {job.job_id for job in listed if not self.hook.states.is_final(job.status)}
        for name in unsure | set(filter(None, [job_id])):
            try:
                jobs[name] = self.hook.get(name).tagged
            except PaiNotFoundError:
                jobs.pop(name, None)
        return list(filter(None, jobs.values()))

    def _settling(self, context: Any, identity: TaskIdentity) -> float:
        """Return for how many seconds lists may still hide a job that an earlier try has submitted."""
        if context.get("task_state_store") is None:
            return SETTLE_SECONDS if identity.try_number > 1 else 0.0
        since = self._stored(context).get("submitting_since")
        if since is None:
            return 0.0
        return SETTLE_SECONDS - (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()

    def _submit(self, context: Any, body: Json, identity: TaskIdentity, planned: Decision) -> str:
        """Submit; where no answer came, look for the job before it is submitted again.

        :raises PaiError: the task was killed before.
        """
        lost: PaiError = PaiError("the task was killed before its submit")
        self._sought = identity
        for _ in range(_SUBMIT_ATTEMPTS):
            if self._killed:
                break
            self._store(context, {"submitting_since": datetime.now(UTC).isoformat()})
            try:
                return self.hook.submit(body)
            except PaiTransientError as error:
                lost = error
            self.log.warning("No answer to the submit, looking whether it was carried out: %s", lost)
            found = self._look_for(identity, planned, SETTLE_SECONDS)
            if found is not planned:
                return str(found.job_id or found.ended)
        raise lost

    def _look_for(self, identity: TaskIdentity, planned: Decision, seconds: float) -> Decision:
        """Look for a job of the planned generation until lists must show it; return the plan where there is none."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            decision = decide(self._jobs(identity), identity.cycle, self.hook.states)
            # A later generation than planned: the job is there and has ended.
            if (decision.generation, decision.job_id is not None) > (planned.generation, False):
                return decision
            time.sleep(min(1.0, self.poll_interval))
        return planned

    def _stop_all(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            self.log.warning("Stopping %s %s: another job takes its place", self.hook.states.kind, job_id)
            self.hook.request_stop(job_id)

    def _remember(self, context: Any, job_id: str) -> None:
        """Keep id and link before waiting, so that every way on finds them."""
        self._job_id = job_id
        self._store(context, {"job_id": job_id})
        self.link.persist(context, self.hook.console_url(job_id))

    def _store(self, context: Any, value: Json) -> None:
        if (store := context.get("task_state_store")) is not None:
            store.set(STATE_KEY, value)

    def _stored(self, context: Any) -> Json:
        store = context.get("task_state_store")
        return (store.get(STATE_KEY) if store is not None else None) or {}

    def _wait(self, context: Any, job: RemoteJob) -> RemoteJob:
        """Return the job once it has ended; a deferrable operator hands it to the triggerer."""
        hook = self.hook
        if hook.states.is_final(job.status):
            copy = LogCopy(hook, job.job_id, self.log_interval)
            if copy.due():
                copy.look()
            return job
        if self.deferrable:
            self._defer(context, job)
        return hook.wait(job.job_id, poll_interval=self.poll_interval, log_interval=self.log_interval)

    def _defer(self, context: Any, job: RemoteJob) -> NoReturn:
        identity = self.identity(context)
        self.log.info("%s %s is %s; waiting in the triggerer", self.hook.states.kind, job.job_id, job.status)
        self.defer(
            trigger=PaiJobTrigger(
                hook_path=self.hook_path,
                hook_arguments=self.hook_arguments,
                job_id=job.job_id,
                poll_interval=self.poll_interval,
                deadline=deadline_of(identity.started, self.execution_timeout),
                cancel_on_kill=self.cancel_on_kill,
                log_interval=self.log_interval,
                deferred_at=datetime.now(UTC).isoformat(),
                task=identity.origin,
            ),
            method_name="execute_complete",
        )

    @contextmanager
    def _leaving(self, context: Any) -> Iterator[None]:
        """Let no failure leave a job that no later try will take over."""
        try:
            yield
        except Exception:
            self._leave(context)
            raise

    def _leave(self, context: Any) -> None:
        """Stop the job if this is the last try."""
        if context["ti"].try_number > context["ti"].max_tries:
            self._stop()
