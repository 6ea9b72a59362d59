"""Samples of candidate and production over one span, with the golden requests sent meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_pai.canary.actions import Look
from airflow_provider_pai.canary.samples import NOTHING, Sample, Window
from airflow_provider_pai.exceptions import PaiApiError, PaiMetricsError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.metrics.base import Declaration, MetricsSource, make_source
from airflow_provider_pai.metrics.golden_requests import KNOCK, Answers, EndpointProbe, make_probe


@dataclass(frozen=True, kw_only=True)
class Lookout:
    """A metrics source and golden requests.

    :param probe: None: nothing is asked.
    """

    eas: EasHook
    source: MetricsSource
    probe: EndpointProbe | None
    _known: dict[tuple[float, float], Sample] = field(default_factory=dict)
    """Production's past, which does not change."""

    @classmethod
    def declared(cls, eas: EasHook, metrics: Declaration, probe: Mapping[str, Any] | None) -> Lookout:
        """Build it from what a DAG declares.

        :raises PaiConfigError: naming what is not allowed.
        """
        golden = make_probe(probe, eas.sibling(OssHook)) if probe else None
        return cls(eas=eas, source=make_source(metrics, eas), probe=golden)

    def check(self) -> None:
        """Make sure that the metrics source answers.

        :raises PaiError: it does not.
        """
        self.source.check()

    def smoke(self, service: str) -> Answers:
        """Send the golden requests to a service's own endpoint, or knock at it, without waiting for its gateway."""
        endpoint = self.eas.endpoint(service)
        if self.probe is None:
            knock = KNOCK.ask(endpoint, None)
            return knock if knock.unreached else Answers()
        self.eas.log.info("%s: %d golden requests to its own endpoint", service, len(self.probe.requests))
        return self.probe.ask(endpoint, None)

    def compare(self, candidate: str, production: str, since: float, now: float) -> Window:
        """Return what two services that nobody shifts traffic between have answered.

        :raises PaiApiError: the metrics source did not answer.
        """
        samples = (self.source.sample(name, since, now) for name in (candidate, production))
        return Window(candidate=next(samples), production=next(samples))

    def told(self, service: str, since: float, now: float) -> str:
        """Return in words what a service has answered, for people; nothing is decided by it."""
        try:
            sample = self.source.sample(service, since, now)
        except (PaiApiError, PaiMetricsError) as error:
            return f"not known ({error})"
        return str(sample) if sample.requests else "nothing is counted yet"

    def take(self, look: Look, group: str, now: float) -> tuple[Window, Sample]:
        """Return the window from the look's start until now, and the golden requests that the candidate was sent.

        :raises PaiApiError: the metrics source did not answer, and nothing else tells that the candidate is bad.
        """
        wrong, doubt, sent = self._golden(look, group)
        try:
            window = self._counted(look, now, sent)
        except (PaiApiError, PaiMetricsError):
            if not wrong:
                raise
            window = Window(candidate=NOTHING)
        golden = look.golden.plus(sent)
        return replace(window, share=look.percent / 100, wrong=wrong, doubt=doubt, golden=golden), sent

    def _counted(self, look: Look, now: float, sent: Sample) -> Window:
        """Sample both; at 100 %, where production has at most stragglers, its last span before the step stands in."""
        source = self.source
        candidate = source.sample(look.candidate, look.since, now)
        if not look.stable:
            return Window(candidate=candidate)
        meanwhile = source.sample(look.stable, look.since, now)
        settled = look.settled and now - look.since > 2 * source.lateness
        window = Window(
            candidate=candidate,
            production=meanwhile,
            meanwhile=meanwhile,
            share_before=look.percent_before / 100 if look.patient else None,
            settled=settled,
            recent=self._recent(look, now, sent) if settled else None,
        )
        if look.percent < 100:
            return replace(window, past=self._past(look))
        before = source.sample(look.stable, look.began - (now - look.since), look.began)
        return replace(window, production=before, same_span=False)

    def _recent(self, look: Look, now: float, sent: Sample) -> tuple[Sample, Sample]:
        """Sample people's requests in the latest part; of ours there were as many a second as in the whole.

        :param sent: of ours at one look, of which nobody can tell whether a late source has counted them.
        """
        start, part = look.recent - self.source.lateness, (now - look.recent) / (now - look.since)
        ours = look.golden.part(part).without(sent)
        candidate = self.source.sample(look.candidate, start, now).without(ours)
        return candidate, self.source.sample(look.stable, start, now)

    def _past(self, look: Look) -> tuple[Sample, ...]:
        """Sample production before the candidate had traffic; a source that knows no past leaves it at that."""
        try:
            for start, end in look.past:
                if (start, end) not in self._known:
                    self._known[start, end] = self.source.sample(look.stable, start - self.source.lateness, end)
        except (PaiApiError, PaiMetricsError) as error:
            self.eas.log.warning("Production is not compared with its own past: %s", error)
        return tuple(self._known[span] for span in look.past if span in self._known)

    def _golden(self, look: Look, group: str) -> tuple[str, str, Sample]:
        """Ask as people do, through the group; the services' own endpoints tell whose wrong answers are.

        Return what is wrong with the candidate, what is wrong but nobody's, and which requests the candidate had.
        """
        probe = self.probe
        if probe is None:
            return "", "", NOTHING
        through = probe.ask(self.eas.group_endpoint(group))
        own = self._of(probe, look.candidate)
        sent = own.counted().plus(through.counted(look.percent / 100))
        if own.wrong and not own.silent:
            return own.wrong, "", sent
        if not own.wrong and not through.wrong:
            return "", "", sent
        # No answer is the candidate's fault only where production has one: the machines may be too busy for both.
        production = self._of(probe, look.stable) if look.stable else Answers()
        if own.wrong and production.silent:
            return "", f"nor does production answer: {own.wrong}", sent
        if own.wrong or production.wrong:
            return own.wrong, "", sent
        return "", f"through the group, not at the services themselves: {through.wrong}", sent

    def _of(self, probe: EndpointProbe, service: str) -> Answers:
        return probe.ask(self.eas.endpoint(service))
