"""Reuse of a model: taken as it is where nothing has changed since its training, or trained on from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Stats

from airflow_provider_pai.clock import in_words
from airflow_provider_pai.exceptions import PaiArtifactError, PaiConfigError
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.inputs import artifact, one_of, optional, parse_uri, seconds
from airflow_provider_pai.operators.base import is_backfill
from airflow_provider_pai.operators.meant import Meant
from airflow_provider_pai.operators.workload.base import WorkloadOperator
from airflow_provider_pai.remote import Json

if TYPE_CHECKING:
    from airflow_provider_pai.artifact import DatasetRef, ModelArtifact
    from airflow_provider_pai.hooks.dlc import DlcHook  # noqa: F401 - in a text below
    from airflow_provider_pai.hooks.eas import EasHook
    from airflow_provider_pai.hooks.oss import OssHook
    from airflow_provider_pai.operators.workload.code import Source
    from airflow_provider_pai.uri import OssUri

SERVING, LATEST = "serving", "latest"
PREVIOUS = "previous"
"""Input that holds the model that is trained on from."""

_VERSION = re.compile(r"\d{8}T\d{4}Z-[0-9a-f]{8}")
_PINNED = re.compile(r"(?:sha256:)?(?:[0-9a-f]{40}|[0-9a-f]{64})")


class ReusingOperator(WorkloadOperator["DlcHook"]):
    """Base of the operator that trains on DLC: without a job where nothing has changed, and on from an earlier model.

    :param reuse: `latest`, the newest complete model below `output`, or `serving`, that of `group`: no job is made
        and this model is returned where nothing that decides a training has changed since its own. (templated)
    :param reuse_for: how old such a model may be: a timedelta, seconds, or a text as `7d`. (templated)
    :param warm_start: the model that the command finds in `PAI_INPUT_PREVIOUS_DIR`: a ModelArtifact as another task
        returned it, its `oss://` address, or `serving`, that of `group`; where there is none, the training begins
        anew. (templated)
    :param group: EAS service group that `serving` means. (templated)
    """

    template_fields: Sequence[str] = ("reuse", "reuse_for", "warm_start", "group")

    def __init__(
        self,
        *,
        reuse: bool | str = False,
        reuse_for: timedelta | float | str | None = None,
        warm_start: Mapping[str, Any] | str | None = None,
        group: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.reuse = reuse
        self.reuse_for = reuse_for
        self.warm_start = warm_start
        self.group = group
        self._previous: Json | None = None

    def check(self) -> None:
        """Refuse bad input, and what would never tell that something has changed."""
        super().check()
        self.reuse = self.checked_reuse() if _is_given(self.reuse) else False
        if self._oldest() and not self.reuse:
            raise PaiConfigError("reuse_for", self.reuse_for, "none without reuse")
        self.group = optional("group", self.group, "a service group")
        if not _is_given(self.warm_start):
            self.warm_start = None
        elif self.warm_start != SERVING:
            self.warm_start = artifact("warm_start", self.warm_start)
        if SERVING in (self.reuse, self.warm_start) and not self.group:
            raise PaiConfigError("group", self.group, f"the service group that {SERVING!r} means")
        if self.warm_start and (self.inputs or {}).get(PREVIOUS, self._previous) != self._previous:
            raise PaiConfigError("inputs", PREVIOUS, "other names: with warm_start this one is the model's")

    def checked_reuse(self) -> str:
        """Return which model may be taken.

        :raises PaiConfigError: none can be, or nobody could tell that something has changed.
        """
        which = one_of("reuse", self.reuse, (SERVING, LATEST))
        if not self.output_uri:
            raise PaiConfigError("reuse", which, "with output: a job without one makes no model")
        name, at, _ = self.image.rpartition("/")[2].partition("@")
        if not at and name.partition(":")[2] in ("", "latest"):
            allowed = "with reuse, a digest, or a tag of its own: nobody can tell when another image is the latest"
            raise PaiConfigError("image", self.image, allowed)
        return which

    def _oldest(self) -> float | None:
        """Return how old a model may be in seconds; None: of any age."""
        return None if self.reuse_for in (None, "") else seconds("reuse_for", self.reuse_for)

    def add_previous(self) -> None:
        """Put the model that is trained on from among the inputs, once."""
        if not self.warm_start or self._previous:
            return
        given = self.warm_start
        model = self._serving() if given == SERVING else Meant.of(given, "warm_start").stored(self.oss)
        if model is None:
            self.log.info("The training begins anew: group %s serves no model", self.group)
            return
        self.log.info("The training goes on from %s", model.version)
        # Its digest is that of its manifest, which has been looked at.
        self._previous = {"uri": model.uri, "version": model.version}
        self.inputs = {**(self.inputs or {}), PREVIOUS: self._previous}

    def decisive(self) -> Json:
        """Return what decides what a training comes to, but for its inputs."""
        source = self.source
        return {
            "image": self.found_image.digest or self.image,
            "command": self.script(),
            "code": source and [source.commit, source.path],
            "parameters": self.parameters,
            "env": self.env,
            # Another model serves after each night: that alone is no change.
            "warm_start": self.warm_start == SERVING,
        }

    def fingerprint(self, inputs: Iterable[DatasetRef]) -> dict[str, str]:
        """Return what a model of this task is known by before it is trained."""
        serves = self.warm_start == SERVING
        return part_hashes(self.decisive(), [ref for ref in inputs if not (serves and ref.name == PREVIOUS)])

    def artifact(
        self, context: Any, identity: TaskIdentity, output: OssUri, *, name: str, version: str, **facts: Any
    ) -> ModelArtifact:
        """Return the artifact as far as it is known at the submit, with what it is known by."""
        model = super().artifact(context, identity, output, name=name, version=version, **facts)
        return replace(model, fingerprint=self.fingerprint(model.inputs))

    def already(self, context: Any, identity: TaskIdentity) -> Json | None:
        """Return the model that a training would only repeat; None, and the log says why: there is none."""
        if not _is_given(self.reuse):
            return None
        self.check()
        reason = self._must_train(context, identity)
        model = None if reason else self._candidate()
        if model is not None:
            reason = self._unlike(model)
        elif not reason:
            reason = f"nothing to reuse: no complete model {self._where()}"
        if model is None or reason:
            self.log.info("A job trains, %s", reason)
            return None
        return self._taken(context, identity, model)

    def _must_train(self, context: Any, identity: TaskIdentity) -> str:
        """Return why a job trains whatever there is: what a person asks for by a clear or a backfill is done."""
        # A clear raises max_tries above the task's retries, which it is at the start.
        if identity.cycle != self.retries:
            return "since the task was cleared"
        if is_backfill(context):
            return "as in every backfill run"
        return unpinned(self.source)

    def _candidate(self) -> ModelArtifact | None:
        return (
            self._serving() if self.reuse == SERVING else newest_model(self.oss, parse_uri("output", self.output_uri))
        )

    def _where(self) -> str:
        return f"serves in group {self.group}" if self.reuse == SERVING else f"lies below {self.output_uri}"

    def _serving(self) -> ModelArtifact | None:
        return serving_artifact(self._eas, self.oss, str(self.group))

    @property
    def _eas(self) -> EasHook:
        from airflow_provider_pai.hooks.eas import EasHook

        eas: EasHook = self.hook.sibling(EasHook)
        return eas

    def _unlike(self, model: ModelArtifact) -> str:
        """Return why a model is not taken; empty: it is."""
        self.add_previous()
        wanted = self.fingerprint(self.datasets())
        why = unlike(model, wanted) or too_old(model, self._oldest(), self.clock.utc()) or self._refusal(model)
        return f"{model.version} is not reused: {why}" if why else ""

    def _refusal(self, model: ModelArtifact) -> str:
        """Return who has refused a model or taken it back; whoever can't tell is believed to have."""
        told = self.ledger.refusals(model.version, model.digest, model.uri)
        if told.doubt:
            return f"nobody knows whether it was refused, {told.doubt}"
        if told.rows:
            row = told.rows[0]
            return f"{row.kind} on {row.recorded_at}, row {row.seq} of the ledger"
        if self.group and self._eas.group(self.group).rejects(model.digest, "", 0):
            return f"group {self.group} has rolled it back"
        return ""

    def _taken(self, context: Any, identity: TaskIdentity, model: ModelArtifact) -> Json:
        facts = {"uri": model.uri, "reuse": self.reuse, "trained_at": model.created_at}
        self.record("reused", model.name, identity, model, facts, beside=model.uri)
        if model.job is not None:
            self.link.persist(context, model.job.url)
        Stats.incr("pai.job.reused", tags={"service": self.hook.service})
        return replace(model, reused_from=model.version).to_dict()


def part_hashes(decisive: Mapping[str, Any], inputs: Iterable[DatasetRef]) -> dict[str, str]:
    """Return a short hash of each thing that decides what a training comes to; where its inputs lie is none of them."""
    parts = {**decisive, **{f"inputs[{ref.name!r}]": ref.digest for ref in inputs}}
    texts = {name: json.dumps(value, sort_keys=True, default=str) for name, value in parts.items()}
    return {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in texts.items()}


def unlike(model: ModelArtifact, wanted: Mapping[str, str]) -> str:
    """Return in what a model differs from one that would be trained now; empty: in nothing."""
    if model.changed_inputs:
        return f"inputs were changed while it was trained: {', '.join(model.changed_inputs)}"
    had = model.fingerprint
    names = sorted(name for name in {*wanted, *had} if wanted.get(name) != had.get(name))
    if not had:
        return "its manifest has no fingerprint"
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not the same" if names else ""


def too_old(model: ModelArtifact, limit: float | None, now: datetime) -> str:
    """Return that a model is older than so many seconds; empty: it is not, or may be of any age."""
    age = (now - datetime.fromisoformat(model.created_at)).total_seconds()
    return f"it is {in_words(age)} old, reuse_for is {in_words(limit)}" if limit and age > limit else ""


def unpinned(source: Source | None) -> str:
    """Return why nobody can tell whether code has changed; empty: its commit or digest tells."""
    if source is None or _PINNED.fullmatch(source.commit):
        return ""
    if source.mount:
        return f"since code['uri'] {source.repo} is one object: nobody knows what lies beside it; give its folder"
    return f"since code['commit'] {source.commit} could not be looked up here: a branch or tag may have moved"


def newest_model(oss: OssHook, parent: OssUri) -> ModelArtifact | None:
    """Return the newest complete model below a prefix: of the latest data, and of several such the last trained."""
    folders = {folder.key.rstrip("/").rpartition("/")[2]: folder for folder in oss.list_folder(parent)[1]}
    names = sorted(filter(_VERSION.fullmatch, folders), reverse=True)
    for _, same in groupby(names, lambda name: name.partition("-")[0]):
        if complete := list(filter(None, (_complete(oss, folders[name]) for name in same))):
            return max(complete, key=lambda model: model.created_at)
    return None


def serving_artifact(eas: EasHook, oss: OssHook, group: str) -> ModelArtifact | None:
    """Return the model that carries most of a group's traffic and is no candidate any more; None: there is none."""
    from airflow_provider_pai.canary.group import check_group_name
    from airflow_provider_pai.canary.weights import incumbents
    from airflow_provider_pai.manifests import served_artifact

    members = incumbents(eas.group(check_group_name("group", group)))
    heaviest = max(members, key=lambda member: member.weight, default=None)
    return served_artifact(oss, eas.describe(heaviest.name)) if heaviest else None


def _complete(oss: OssHook, folder: OssUri) -> ModelArtifact | None:
    from airflow_provider_pai.manifests import read_artifact

    try:
        return replace(read_artifact(oss, str(folder)), uri=str(folder))
    except PaiArtifactError as error:
        oss.log.info("Not complete: %s", error)
        return None


def _is_given(value: object) -> bool:
    """Tell whether an argument is given: a template may render to nothing."""
    return value not in (None, False, "", "None", "False")
