"""Samples of candidate and production over one span, with the golden requests sent meanwhile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_pai.canary.actions import Look
from airflow_provider_pai.canary.analysis import NOTHING, Sample, Window
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

    def take(self, look: Look, group: str, now: float) -> tuple[Window, int]:
        """Return the window from the look's start until now, and how many golden requests the candidate was sent.

        :raises PaiApiError: the metrics source did not answer, and nothing else tells that the candidate is bad.
        """
        wrong, doubt, sent = self._golden(look, group)
        try:
            candidate, production, same_span = self._samples(look, now)
            settled = look.settled and now - look.since > 2 * self.source.lateness
        except (PaiApiError, PaiMetricsError):
            if not wrong:
                raise
            candidate, production, same_span, settled = NOTHING, None, True, False
        return Window(
            candidate=candidate,
            production=production,
            same_span=same_span,
            share=look.percent / 100,
            settled=settled,
            wrong=wrong,
            doubt=doubt,
            golden=look.golden + sent,
        ), sent

    def _samples(self, look: Look, now: float) -> tuple[Sample, Sample | None, bool]:
        """Sample both; at 100 %, where production has at most stragglers, its last span before the step stands in."""
        source = self.source
        candidate = source.sample(look.candidate, look.since, now)
        if not look.stable:
            return candidate, None, True
        if look.percent < 100:
            return candidate, source.sample(look.stable, look.since, now), True
        return candidate, source.sample(look.stable, look.began - (now - look.since), look.began), False

    def _golden(self, look: Look, group: str) -> tuple[str, str, int]:
        """Ask as people do, through the group; the services' own endpoints tell whose wrong answers are.

        Return what is wrong with the candidate, what is wrong but nobody's, and how many requests the candidate had.
        """
        probe = self.probe
        if probe is None:
            return "", "", 0
        through = probe.ask(self.eas.group_endpoint(group))
        sent = len(probe.requests) + math.ceil(len(probe.requests) * look.percent / 100)
        own = self._of(probe, look.candidate)
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
