"""Assertions on artifacts and rollouts, with messages for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_pai.artifact import ModelArtifact
from airflow_provider_pai.canary.group import Group, Member, Phase
from airflow_provider_pai.canary.weights import carriers, shares
from airflow_provider_pai.exceptions import PaiArtifactError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.manifests import read_artifact
from airflow_provider_pai.rollouts.history import version_of
from airflow_provider_pai.testing.traffic import ServiceGroup

Model = Mapping[str, Any] | ModelArtifact | str

_TAKEN_OUT = frozenset({Phase.WITHDRAWN, Phase.ROLLED_BACK})


def assert_complete(artifact: Model) -> ModelArtifact:
    """Assert that a model lies on OSS as its manifest says, and return it as the manifest has it.

    :param artifact: a task's XCom, or an address.
    """
    try:
        return read_artifact(OssHook(), _field(artifact, "uri"))
    except PaiArtifactError as error:
        raise AssertionError(f"The model is not complete: {error}") from None


def assert_promoted(group: ServiceGroup, model: Model) -> None:
    """Assert that a model has all of a group's traffic.

    :param model: a task's XCom, or a version.
    """
    version, state = _field(model, "version"), group.look()
    if [version_of(member) for member in carriers(state)] != [version]:
        raise AssertionError(f"{version} should have all traffic of group {state.name}.\n{_told(state)}")


def assert_rolled_back(group: ServiceGroup, model: Model, because: str = "") -> None:
    """Assert that a model was tried and taken out, and that something else serves.

    :param model: a task's XCom, or a version.
    :param because: part of the reason.
    """
    version, state = _field(model, "version"), group.look()
    member = next((member for member in state.members if version_of(member) == version), None)
    told, serving = f"\n{_told(state)}", [version_of(each) for each in carriers(state)]
    if member is None:
        raise AssertionError(f"{version} should have been rolled back, and was never in group {state.name}.{told}")
    progress = member.progress
    if progress is None or progress.phase not in _TAKEN_OUT or version in serving:
        raise AssertionError(f"{version} should have been rolled back in group {state.name}, and was not.{told}")
    if because not in progress.note:
        raise AssertionError(f"{version} was rolled back, not because of {because!r}: {progress.note}.{told}")
    if not serving:
        raise AssertionError(f"{version} was rolled back, and nothing serves group {state.name}.{told}")


def _field(model: Model, name: str) -> str:
    if isinstance(model, str):
        return model
    return str(model[name] if isinstance(model, Mapping) else getattr(model, name))


def _told(group: Group) -> str:
    """Return the group's services in words, a line each."""
    found = shares(group)
    lines = [_line(member, found[member.name]) for member in group.members]
    return "\n".join(lines) or f"There is nothing in group {group.name}: has the deployment run?"


def _line(member: Member, share: float) -> str:
    progress = member.progress
    after = f", {progress.phase.replace('_', ' ')}" if progress else ""
    why = f": {progress.note}" if progress and progress.note else ""
    return f"  {version_of(member) or member.name}: {member.status}, {share:.0%} of the traffic{after}{why}"
