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
from airflow_provider_pai.metrics.probe import Answers, EndpointProbe, make_probe


@dataclass(frozen=True, kw_only=True)
class Lookout:
    """Where a rollout's numbers come from.

    :param metrics: declaration of the metrics source.
    :param probe: declaration of the golden requests, or None.
    """

    eas: EasHook
    oss: OssHook
    group: str
    metrics: Declaration
    probe: Mapping[str, Any] | None

    def take(self, look: Look, now: float) -> tuple[Window, int]:
        """Return the window from the look's start until now, and how many golden requests the candidate was sent.

        :raises PaiApiError: the metrics source did not answer, and nothing else tells that the candidate is bad.
        """
        wrong, doubt, sent = self._golden(look)
        try:
            source = make_source(self.metrics, self.eas)
            candidate, production, same_span = self._samples(source, look, now)
            settled = look.settled and now - look.since > 2 * source.lateness
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

    def _samples(self, source: MetricsSource, look: Look, now: float) -> tuple[Sample, Sample | None, bool]:
        """Sample both; at 100 %, where production has at most stragglers, its last span before the step stands in."""
        candidate = source.sample(look.candidate, look.since, now)
        if not look.stable:
            return candidate, None, True
        if look.percent < 100:
            return candidate, source.sample(look.stable, look.since, now), True
        return candidate, source.sample(look.stable, look.began - (now - look.since), look.began), False

    def _golden(self, look: Look) -> tuple[str, str, int]:
        """Ask as people do, through the group; the services' own endpoints tell whose wrong answers are.

        Return what is wrong with the candidate, what is wrong but nobody's, and how many requests the candidate had.
        """
        if not self.probe:
            return "", "", 0
        probe = make_probe(self.probe, self.oss)
        through = probe.ask(self.eas.group_endpoint(self.group))
        sent = len(probe.requests) + math.ceil(len(probe.requests) * look.percent / 100)
        own = self._of(probe, look.candidate)
        if own.wrong and not own.silent:
            return own.wrong, "", sent
        if not own.wrong and not through.wrong:
            return "", "", sent
        # No answer is the candidate's fault only where production has one: the machines may be too busy for both.
        production = self._of(probe, look.stable) if look.stable else Answers()
        if own.wrong:
            return (
                ("", f"nor does production answer: {own.wrong}", sent) if production.silent else (own.wrong, "", sent)
            )
        doubt = "" if production.wrong else f"through the group, not at the services themselves: {through.wrong}"
        return "", doubt, sent

    def _of(self, probe: EndpointProbe, service: str) -> Answers:
        return probe.ask(self.eas.endpoint(service))
