"""Base of the operators that run a job: exactly one submit, one wait, one finish."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from airflow.providers.common.compat.sdk import Stats

from airflow_provider_pai.causes import Diagnosis, RetryOn, why_last
from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiError,
    PaiJobFailedError,
    PaiNotFoundError,
    PaiTimeoutError,
    PaiTransientError,
)
from airflow_provider_pai.identity import Decision, TaggedJob, TaskIdentity, decide
from airflow_provider_pai.inputs import Span, flag, one_of, seconds
from airflow_provider_pai.links import PaiLink
from airflow_provider_pai.operators.deferring import REAPER, DeferringOperator, Settled
from airflow_provider_pai.remote import DEFAULT_LOG_INTERVAL, DEFAULT_POLL_INTERVAL, Json, RemoteJob
from airflow_provider_pai.states import Verdict
from airflow_provider_pai.triggers.job import PaiJobTrigger

if TYPE_CHECKING:
    from airflow_provider_pai.costs import Usage
    from airflow_provider_pai.hooks.jobs import JobHook

# Key of the task's state store (Airflow 3.3+): the time of a submit before it is made, then the job's id.
STATE_KEY = "pai_job"

# A submit whose answer was lost is looked for this long before it is made again: lists may be half a minute behind.
SETTLE_SECONDS = 35.0
_SUBMIT_ATTEMPTS = 5

# A killed task has five seconds; for so long it looks for the job of a submit that has not been answered.
_KILL_LOOK_SECONDS = 3.0

JobHookT = TypeVar("JobHookT", bound="JobHook")


class WatchingOperator(DeferringOperator[JobHookT]):
    """Base of the operators that wait for one thing on PAI, known by its id.

    :param poll_interval: seconds between two looks at it.
    """

    link: ClassVar[type[PaiLink]]
    cancel_on_kill = True
    """Stop it when the task is killed, marked, cleared or timed out."""
    log_interval = 0.0

    def __init__(self, *, poll_interval: Span = DEFAULT_POLL_INTERVAL, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.poll_interval = seconds("poll_interval", poll_interval)
        self._job_id: str | None = None

    def look(self, job_id: str) -> RemoteJob | None:
        """Return the job if it has ended already."""
        job = self.hook.get(job_id)
        if not self.hook.states.is_final(job.status):
            self.log.info("%s %s is %s; waiting in the triggerer", self.hook.states.kind, job_id, job.status)
            return None
        from airflow_provider_pai.hooks.waiting import LogCopy

        copy = LogCopy(self.hook, job_id, self.log_interval)
        if copy.due():
            copy.look()
        return job

    def trigger(self, context: Any, job_id: str) -> PaiJobTrigger:
        """Return what waits for the job."""
        identity = self.identity(context)
        return PaiJobTrigger(
            hook_path=self.hook_path,
            hook_arguments=self.hook_arguments,
            job_id=job_id,
            poll_interval=self.poll_interval,
            deadline=self.hook.in_service_time(identity.deadline(self.execution_timeout)),
            cancel_on_kill=self.cancel_on_kill,
            log_interval=self.log_interval,
            deferred_at=self.clock.utc().isoformat(),
            task=identity.origin,
        )

    def wait_here(self, context: Any, job_id: str) -> RemoteJob:
        """Wait until the job has ended."""
        return self.hook.wait(job_id, poll_interval=self.poll_interval, log_interval=self.log_interval)

    def outcome(self, context: Any, event: Mapping[str, Any]) -> RemoteJob:
        """Return the job that has ended; one that only the trigger lost sight of is waited for again.

        :raises PaiTimeoutError: `execution_timeout` has passed.
        """
        self._job_id = event["job_id"]
        if "job" in event:
            return RemoteJob.read(event["job"])
        job = self.hook.get(event["job_id"])  # what the trigger met, the worker meets too, as a typed error
        if event.get("timed_out"):
            if self.hook.states.goes_on(job.status):
                self.give_up("execution_timeout passed")
            raise PaiTimeoutError(f"{job.job_id} was {job.status} when execution_timeout passed")
        if not self.hook.states.is_final(job.status):
            job = self.go_on(context, job.job_id, event["error"])
        return job

    def give_up(self, why: str) -> None:
        """Ask for the job's stop; of one whose id is not known, too."""
        if not self.cancel_on_kill:
            return
        for job_id in [self._job_id] if self._job_id else self._begun():
            self.log.info("Stopping %s %s: %s", self.hook.states.kind, job_id, why)
            try:
                self.hook.request_stop(job_id)
            except PaiApiError as error:
                # There is no time to ask any longer, and what ends the task is an error of its own.
                self.log.error(  # noqa: TRY400
                    "%s %s GOES ON; %s: %s", self.hook.states.kind, job_id, REAPER, error
                )
                continue
            Stats.incr("pai.job.stopped", tags={"service": self.hook.service})

    def _begun(self) -> list[str]:
        """Return the ids of what the task has begun, where that is not known here; by default there is nothing."""
        return []


class PaiJobOperator(WatchingOperator[JobHookT]):
    """Base of the operators that run a job: exactly one, whatever happens to the worker.

    :param cancel_on_kill: stop the job when the task is killed, marked, cleared or timed out.
    :param log_interval: seconds between two looks at the job's own log, which is copied into the task's; 0: it is not.
    :param retry_on: which failures of the job the task's `retries` are for: `auto` (by its cause: docs/retries.md),
        `infrastructure` or `always`.
    """

    def __init__(
        self,
        *,
        cancel_on_kill: bool = True,
        log_interval: Span = DEFAULT_LOG_INTERVAL,
        retry_on: str = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cancel_on_kill = flag("cancel_on_kill", cancel_on_kill)
        self.log_interval = seconds("log_interval", log_interval, least=0)
        self.retry_on = one_of("retry_on", retry_on, list(RetryOn))
        self.used: tuple[Usage, ...] = ()
        self._submitting: TaskIdentity | None = None

    @property
    def model_named(self) -> str | None:
        """Return the name of the model that the job trains."""
        return None

    @property
    def rows_beside(self) -> str | None:
        """Return the address in whose bucket the job's ledger rows may wait."""
        return None

    @abstractmethod
    def build(self, context: Any, identity: TaskIdentity, generation: int) -> Json:
        """Return the body of the submit with the generation's tags.

        :raises PaiConfigError: bad input; nothing has been created yet.
        """

    @abstractmethod
    def result(self, context: Any, identity: TaskIdentity, generation: int, job: RemoteJob) -> Any:
        """Return the XCom of a job that has succeeded, and write its ledger rows."""

    def already(self, context: Any, identity: TaskIdentity) -> Any:
        """Return the XCom of a task that has no job and needs none; by default every task needs one."""
        return None

    def begin(self, context: Any) -> str | Settled:
        """Find this task's job or submit it; return its id. Where no job is needed, return the result."""
        identity = self.identity(context)
        decision = self._find(context, identity)
        self._stop_all(decision.stop)
        job_id = decision.job_id
        if job_id is not None:
            self.log.info("Going on with %s %s of an earlier try", self.hook.states.kind, job_id)
            Stats.incr("pai.job.reattached", tags={"service": self.hook.service})
        elif (result := self.already(context, identity)) is not None:
            return Settled(result)
        else:
            job_id = self._make(context, identity, decision)
        self._remember(context, job_id)
        return job_id

    def under_way(self, context: Any) -> str | None:
        """Return the id of the job that goes on."""
        identity, stored = self.identity(context), self._stored(context).get("job_id")
        self._job_id = decide(self._jobs(identity, stored), identity.cycle, self.hook.states).job_id
        return self._job_id

    def finish(self, context: Any, job: RemoteJob) -> Any:
        """Turn a job that has ended into the task's result: the one end of every path.

        :raises PaiJobFailedError: with the cause, the reason and the last lines of the logs.
        """
        if self.hook.states.judge(job.status) is not Verdict.SUCCEEDED:
            failure = self.failure(job)
            Stats.incr("pai.job.failed", tags={"service": self.hook.service, "cause": failure.cause.value})
            self.account(context, job, failure)
            raise self._as_retried(context, job, failure)
        generation = job.tagged.generation if job.tagged else 1
        self.account(context, job)
        return self.result(context, self.identity(context), generation, job)

    def account(self, context: Any, job: RemoteJob, failure: BaseException | None = None) -> None:
        """Record what the job and those before it have used; what came to a version stands on its artifact."""
        from airflow_provider_pai.operators.accounting import account

        identity, cause, model = self.identity(context), str(getattr(failure, "cause", "")), self.model_named or ""
        facts = self.hook, self.ledger, identity, job
        self.used = account(*facts, cause=cause, model=model, beside=self.rows_beside)

    def failure(self, job: RemoteJob) -> PaiJobFailedError:
        """Return the error that tells why a job has failed."""
        return self.hook.failure(job)

    def _as_retried(self, context: Any, job: RemoteJob, failure: PaiJobFailedError) -> PaiJobFailedError:
        """Return a failure as one that is retried, or as the task's last; a stop that a kill asked for is nobody's."""
        if self._killed:
            return failure
        why = why_last(failure.diagnosis, self.retry_on, self._earlier(self.identity(context), job))
        return failure.for_good(why) if why else failure

    def _earlier(self, identity: TaskIdentity, job: RemoteJob) -> Iterator[tuple[str, Diagnosis]]:
        """Yield how the task's earlier jobs of this cycle have failed, as PAI still tells it, the newest first."""
        try:
            found = self.hook.find(identity)
            mine = [each for each in found if each.cycle == identity.cycle and each.job_id != job.job_id]
            for each in sorted(mine, key=lambda one: one.generation, reverse=True):
                if self.hook.states.judge(each.status) is Verdict.FAILED:
                    yield each.job_id, self.hook.diagnosis(self.hook.get(each.job_id))
        except PaiError as error:
            self.log.warning("How an earlier job of this task failed is not known, so it is retried: %s", error)

    def _begun(self) -> list[str]:
        """Return the jobs of a submit that is under way, whose answer may come too late, or of a task that resumes."""
        identity = self.identity(self._resumed) if self._resumed else self._submitting
        end = self.clock.monotonic() + _KILL_LOOK_SECONDS
        while identity is not None:
            decision = decide(self.hook.find(identity), identity.cycle, self.hook.states)
            job_ids = [*filter(None, [decision.job_id]), *decision.stop]
            if job_ids or self.clock.monotonic() > end:
                return job_ids
            self.clock.sleep(0.3)
        return []

    def _find(self, context: Any, identity: TaskIdentity) -> Decision:
        """Look for this task's jobs, as long as lists may hide one."""
        stored = self._stored(context)
        first = identity.try_number <= 1 and not stored
        decision = decide(self._jobs(identity, stored.get("job_id")), identity.cycle, self.hook.states, first=first)
        if decision.job_id is None and not first:
            decision = self._look_for(identity, decision, self._settling(context, identity))
        return decision

    def _make(self, context: Any, identity: TaskIdentity, decision: Decision) -> str:
        """Submit the job of the planned generation; return the one that goes on."""
        hook = self.hook
        body = self.build(context, identity, decision.generation)
        self._job_id = job_id = self._submit(context, body, identity, decision)
        Stats.incr("pai.job.submitted", tags={"service": hook.service})
        self.heed_kill()
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
        return SETTLE_SECONDS - (self.hook.service_clock.utc() - datetime.fromisoformat(since)).total_seconds()

    def _submit(self, context: Any, body: Json, identity: TaskIdentity, planned: Decision) -> str:
        """Submit; where no answer came, look for the job before it is submitted again.

        :raises PaiError: the task was killed before.
        """
        lost: PaiError = PaiError("the task was killed before its submit → clear it to run it")
        self._submitting = identity
        for _ in range(_SUBMIT_ATTEMPTS):
            if self._killed:
                break
            self._store(context, {"submitting_since": self.hook.service_clock.utc().isoformat()})
            try:
                return self.hook.submit(body)
            except PaiTransientError as error:
                lost = error
            self.log.warning("No answer to the submit, looking whether it was carried out: %s", lost)
            decision = self._look_for(identity, planned, SETTLE_SECONDS)
            if decision is not planned:
                return str(decision.job_id or decision.ended)
        raise lost

    def _look_for(self, identity: TaskIdentity, planned: Decision, seconds: float) -> Decision:
        """Look for a job of the planned generation until lists must show it; return the plan where there is none."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            decision = decide(self._jobs(identity), identity.cycle, self.hook.states)
            # A later generation than planned: the job is there and has ended.
            if (decision.generation, decision.job_id is not None) > (planned.generation, False):
                return decision
            self.clock.sleep(min(1.0, self.poll_interval))
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
