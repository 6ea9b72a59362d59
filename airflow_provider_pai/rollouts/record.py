"""Record of a rollout: one JSON line for every look, beside the group's lease on OSS."""

from __future__ import annotations

import json
from dataclasses import asdict

from airflow_provider_pai.canary.actions import Look
from airflow_provider_pai.canary.analysis import Judgement
from airflow_provider_pai.canary.group import Progress
from airflow_provider_pai.canary.samples import Sample
from airflow_provider_pai.exceptions import PaiApiError, PaiNotFoundError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.remote import Json
from airflow_provider_pai.uri import OssUri


class Record:
    """The record of one candidate: `{"at", "percent", "candidate", "production", "verdict", "reason"}` a line.

    Only the lease's holder writes it. A rollout does not depend on it: what can't be written or read is a warning.
    """

    def __init__(self, oss: OssHook, uri: OssUri) -> None:
        self._oss = oss
        self.uri = uri

    def add(self, look: Look, judgement: Judgement, now: float) -> None:
        """Add a look."""
        window = judgement.window
        line = {
            "at": round(now, 3),
            "percent": look.percent,
            "candidate": _numbers(window.candidate),
            "production": None if window.production is None else _numbers(window.production),
            "verdict": judgement.result.value,
            "reason": judgement.reason,
        }
        try:
            lines = [*self._lines(), json.dumps(line, separators=(",", ":")).encode()]
            self._oss.put(self.uri, b"".join(each + b"\n" for each in lines))
        except PaiApiError as error:
            self._oss.log.warning("A verdict is not on record: %s", error)

    def steps(self, progress: Progress) -> list[Json]:
        """Return how each step ended, with its reason as it stands here."""
        reasons = self._reasons() if progress.steps else {}
        return [{**asdict(step), "reason": reasons.get((step.percent, step.verdict), "")} for step in progress.steps]

    def _reasons(self) -> dict[tuple[int, str], str]:
        """Return the last reason of each percentage and verdict; what is no line of ours is left out."""
        reasons: dict[tuple[int, str], str] = {}
        try:
            lines = self._lines()
        except PaiApiError as error:
            self._oss.log.warning("The record of verdicts can't be read: %s", error)
            return reasons
        for line in lines:
            try:
                look = json.loads(line)
                reasons[int(look["percent"]), str(look["verdict"])] = str(look["reason"])
            except (ValueError, TypeError, LookupError) as error:
                self._oss.log.warning("%s has a line that is no look: %s", self.uri, error)
        return reasons

    def _lines(self) -> list[bytes]:
        try:
            return self._oss.get(self.uri).splitlines()
        except PaiNotFoundError:
            return []


def _numbers(sample: Sample) -> Json:
    percentiles = {f"p{percent}_ms": ms for percent, ms in sample.quantiles.items()}
    return {
        "requests": sample.requests,
        "errors": sample.errors,
        "p95_ms": sample.p95_ms,
        **percentiles,
        **sample.values,
    }
