"""Driver of a shadow run: a service gets copies of production's requests, is compared, and is always taken down.

What there is to do follows from what EAS shows, so that any process goes on where another was killed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.canary.analysis import judge
from airflow_provider_pai.canary.plan import RolloutPlan
from airflow_provider_pai.canary.samples import Result, Window
from airflow_provider_pai.clock import Clock
from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiConflictError,
    PaiError,
    PaiMetricsError,
    PaiTransientError,
    PaiUnsupportedError,
)
from airflow_provider_pai.hooks.eas.goals import Until
from airflow_provider_pai.labels import ServedModel, Shadow
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.metrics.lookout import Lookout
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.rollouts.driver import Tick
from airflow_provider_pai.rollouts.overlap import overlap
from airflow_provider_pai.rollouts.shadows import take_down
from airflow_provider_pai.states import EAS_GONE, Verdict

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas import EasHook


@dataclass(frozen=True, kw_only=True)
class ShadowSpec:
    """A shadow run as it travels to the triggerer: JSON primitives, no secrets.

    :param source: service whose requests are copied.
    :param shadow: service that gets the copies.
    :param config: the shadow's service JSON.
    :param labels: the shadow's labels.
    :param owner: those of them that tell whose it is.
    :param ratio: percent of the requests.
    :param duration: seconds for which they are copied.
    :param plan: limits, as a `RolloutPlan`'s dict.
    :param begun: ISO 8601, when this try of the task began, in the services' time.
    :param deadline: ISO 8601, when the run is to be ended; None: never.
    """

    source: str
    shadow: str
    config: Mapping[str, Any]
    labels: Mapping[str, str]
    owner: Mapping[str, str]
    ratio: int
    duration: float
    plan: Mapping[str, Any]
    metrics: Any
    probe: Mapping[str, Any] | None
    begun: str
    deadline: str | None = None

    def to_dict(self) -> Json:
        """Return plain JSON; the constructor takes it back."""
        return asdict(self)


class ShadowDriver:
    """One process's hand on a shadow run.

    :param clock: None: the services' time.
    :param lookout: what asks the services; None: what the run declares.
    """

    def __init__(
        self, spec: ShadowSpec, eas: EasHook, log: Any, clock: Clock | None = None, lookout: Lookout | None = None
    ) -> None:
        self._spec = spec
        self._plan = RolloutPlan.parse(spec.plan)
        self._eas = eas
        self._log = log
        self._clock = clock or eas.service_clock
        self._handed_lookout = lookout
        self._end: Json | None = None
        self._window: Window | None = None
        self._source_errors = 0
        self._killed = False
        self._log_tail = ""
        # A canceled trigger's tick goes on in its thread: what a kill has taken down it must not make again.
        self._turn = threading.RLock()

    @cached_property
    def _lookout(self) -> Lookout:
        return self._handed_lookout or Lookout.declared(self._eas, self._spec.metrics, self._spec.probe)

    def tick(self) -> Tick:
        """Look once and do the one next thing.

        :raises PaiTransientError: no answer; the next tick goes on.
        """
        with self._turn:
            if self._killed:
                raise PaiError("the shadow run was ended")
            if self._end is None:
                step = self._tick()
                if step.end is None:
                    return step
                self._end = step.end
            self._begin_anew()
            take_down(self._eas, self._spec.source, self._spec.shadow)
            return Tick(end=self._end)

    def _begin_anew(self) -> None:
        """Let a later try copy again, should this one not get all down: it would blame another hand for the copies."""
        shadow = self._eas.get(self._spec.shadow)
        label = Shadow.of(shadow.tags)
        if label is not None and label.since and self._spec.owner.items() <= shadow.tags.items():
            self._note(shadow, label._replace(since=""))

    def kill(self, why: str, seconds: float) -> None:
        """Take everything down, whatever the run was doing; that takes no time."""
        with self._turn:
            self._log.info("Taking %s down: %s", self._spec.shadow, why)
            self._killed = True
            take_down(self._eas, self._spec.source, self._spec.shadow)

    def _tick(self) -> Tick:
        shadow = self._eas.get(self._spec.shadow)
        if self._passed(self._spec.deadline):
            return self._over("stopped", "execution_timeout passed")
        mirror = self._eas.mirror(self._spec.source)
        if mirror is not None and mirror.targets != (self._spec.shadow,):
            return self._over("stopped", f"{self._spec.source} is mirrored to {', '.join(mirror.targets)} already")
        if shadow.status == EAS_GONE:
            return self._create()
        if not self._spec.owner.items() <= shadow.tags.items() or shadow.status in self._eas.states.stopping:
            self._log.info("%s is left from an earlier run: deleting it", shadow.job_id)
            self._eas.delete(shadow.job_id)
            return Tick(pause=self._plan.poll)
        label = Shadow.of(shadow.tags)
        if label is None or not label.since:
            return self._prepare(shadow, label or Shadow(source=self._spec.source))
        since = datetime.fromisoformat(label.since)
        if mirror is not None:
            return self._watch(shadow, since.timestamp())
        if since < self._begun:
            self._log.info("An earlier try ended the mirror of %s, and left %s", self._spec.source, shadow.job_id)
            return self._prepare(shadow, label)
        return self._over("stopped", f"someone else ended the mirror of {self._spec.source}")

    @cached_property
    def _begun(self) -> datetime:
        return datetime.fromisoformat(self._spec.begun)

    def _create(self) -> Tick:
        self._lookout.check()
        self._log.info("Creating %s", self._spec.shadow)
        try:
            self._eas.create(self._spec.config, self._spec.labels)
        except PaiConflictError:
            # The answer of an earlier try was lost; whose it is, the next look tells.
            self._log.info("%s is there", self._spec.shadow)
        except PaiUnsupportedError as error:
            return self._over("stopped", str(error))
        return Tick(pause=self._plan.poll)

    def _prepare(self, shadow: RemoteJob, label: Shadow) -> Tick:
        """Wait until the shadow can answer, ask it golden requests, then begin to copy."""
        verdict = Until(state="ready").judge(shadow)
        running, total = shadow.facts["running"], shadow.facts["total"]
        state = f"{shadow.job_id} is {shadow.status}, {running} of {total} instances"
        if verdict is Verdict.FAILED:
            return self._is_down("failed", state)
        if verdict is not Verdict.SUCCEEDED:
            late = self._clock.utc() >= self._begun + timedelta(seconds=self._plan.ready_timeout)
            return self._is_down("timed_out", state) if late else Tick(pause=self._plan.poll)
        answers = self._lookout.smoke(shadow.job_id)
        if answers.unreached and (waits := self._unreached(shadow, label, answers.wrong)):
            return waits
        if answers.wrong and not answers.unreached:
            return self._over("failed", f"golden requests: {answers.wrong}")
        self._log.info("%s is ready: %d %% of %s's requests are copied", state, self._spec.ratio, self._spec.source)
        self._eas.set_mirror(self._spec.source, [self._spec.shadow], self._spec.ratio)
        self._note(shadow, label._replace(since=self._now()))
        return Tick(pause=self._plan.interval)

    def _unreached(self, shadow: RemoteJob, label: Shadow, wrong: str) -> Tick | None:
        """Give the gateway time; None: it is over, and there is nothing that must be answered."""
        if not label.ready:
            self._log.info("The gateway does not reach %s yet: %s", shadow.job_id, wrong)
            label = label._replace(ready=self._now())
            self._note(shadow, label)
        if self._clock.now() < datetime.fromisoformat(label.ready).timestamp() + self._plan.gateway_timeout:
            return Tick(pause=self._plan.poll)
        if self._spec.probe is None:
            return None
        return self._over("timed_out", f"not reached for {self._plan.gateway_timeout:g} s: {wrong}")

    def _note(self, shadow: RemoteJob, label: Shadow) -> None:
        self._eas.label(shadow.job_id, {**shadow.tags, **label.labels()})

    def _now(self) -> str:
        return self._clock.utc().isoformat(timespec="milliseconds")

    def _watch(self, shadow: RemoteJob, since: float) -> Tick:
        """Compare what both have answered since the copying began.

        :param since: Unix time.
        """
        now = self._clock.now()
        if not shadow.facts["running"] or shadow.status in self._eas.states.broken:
            return self._is_down("failed", f"broke down: {shadow.job_id} is {shadow.status}")
        if now < since + self._plan.interval:
            return Tick(pause=since + self._plan.interval - now)
        try:
            self._window = self._lookout.compare(self._spec.shadow, self._spec.source, since, now)
        except PaiTransientError:
            raise
        except (PaiApiError, PaiMetricsError) as error:
            return self._unanswered(error)
        self._source_errors = 0
        return self._judge(self._window, left=since + self._spec.duration - now)

    def _unanswered(self, error: PaiError) -> Tick:
        self._source_errors += 1
        self._log.warning("The metrics source did not answer: %s", error)
        if self._source_errors > self._plan.max_source_errors:
            return self._over("inconclusive", f"the metrics source did not answer: {error}")
        return Tick(pause=self._plan.interval)

    def _judge(self, window: Window, left: float) -> Tick:
        """Return the verdict: what is bad at once, everything else at the end.

        :param left: seconds for which requests are still to be copied.
        """
        judgement = judge(self._plan, window)
        self._log.info("shadow %s: %s", self._spec.shadow, judgement)
        if judgement.result is Result.FAIL:
            return self._over("failed", judgement.reason)
        if left > 0:
            return Tick(pause=min(self._plan.interval, max(0.05, left)))
        if hang := self._hangs(window):
            return self._over("failed", hang)
        return self._over("passed" if judgement.result is Result.PASS else "inconclusive", judgement.reason)

    def _hangs(self, window: Window) -> str:
        """Tell of requests that were copied and never answered: they are in no count.

        Asked at the end, when a source that lags has told of both services.
        """
        assert window.production is not None
        expected = window.production.requests * self._spec.ratio / 100
        if expected < 2 * self._plan.min_requests or window.candidate.requests >= expected / 2:
            return ""
        return f"{window.candidate.requests} answers to about {expected:.0f} copies: requests hang"

    def _is_down(self, outcome: str, state: str) -> Tick:
        """End the run for a shadow that is not up, with what its containers tell before they are gone."""
        cause, self._log_tail = self._eas.down(self._spec.shadow)
        return self._over(outcome, f"{cause} ({state})" if cause else state)

    def _over(self, outcome: str, reason: str) -> Tick:
        window, model = self._window, ServedModel.of(self._spec.labels)
        candidate, production = (window.candidate, window.production) if window else (None, None)
        end: Json = {
            "source": self._spec.source,
            "shadow": self._spec.shadow,
            "outcome": outcome,
            "reason": reason,
            "version": model.version or None,
            "digest": model.digest or None,
            "ratio": self._spec.ratio,
            **_numbers(candidate),
            "production": _numbers(production),
            "log_tail": self._log_tail,
            "usage": overlap(self._eas, self._spec.shadow, "shadow"),
        }
        return Tick(end=end)

    def _passed(self, moment: str | None) -> bool:
        return moment is not None and self._clock.utc() >= datetime.fromisoformat(moment)


def _numbers(sample: Any) -> Json:
    return {
        name: getattr(sample, name, default) for name, default in (("requests", 0), ("errors", 0), ("p95_ms", None))
    }
