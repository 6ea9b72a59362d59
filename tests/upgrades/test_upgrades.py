"""Upgrades: what a release left in databases, labels and buckets is read by today's code, and means the same."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import airflow_provider_pai
from airflow_provider_pai.artifact import Manifest, ModelArtifact
from airflow_provider_pai.exceptions import PaiArtifactError, PaiNotFoundError, PaiVersionError
from airflow_provider_pai.identity import TaggedJob
from airflow_provider_pai.manifests import read_artifact
from airflow_provider_pai.schemas import TRIGGER
from airflow_provider_pai.triggers.base import PollTrigger
from airflow_provider_pai.triggers.job import PaiJobTrigger
from tests.fake import FakeEas, FakeOss, goal
from tests.public import named_modules
from tests.upgrades.records import KINDS, ME, TRIGGERS, read_trigger

FOLDER = Path(__file__).parent
RELEASES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir() and path.name[0].isdigit())
FROZEN = sorted(FOLDER.glob("[0-9]*/*.json"))


def unlike(frozen: Any, today: Any, place: str = "") -> list[str]:
    """Return where today's code reads another thing than what was frozen; it may read more."""
    if isinstance(frozen, dict) and isinstance(today, dict):
        return [each for name in frozen for each in unlike(frozen[name], today.get(name, "gone"), f"{place}.{name}")]
    return [] if frozen == today else [f"{place}: {frozen!r} is read as {today!r}"]


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_a_release_has_left_means_the_same(path):
    frozen = json.loads(path.read_text())
    assert unlike(frozen["means"], KINDS[path.stem].read(frozen["record"])) == []


@pytest.mark.parametrize("name", KINDS)
def test_what_is_written_is_what_was_frozen_with_its_number(name):
    """A field more, or another name, needs another number; before the release, `make freeze` writes it anew."""
    path, kind = FOLDER / RELEASES[-1] / f"{name}.json", KINDS[name]
    frozen = json.loads(path.read_text())
    if frozen["schema"] == (kind.schema.number if kind.schema else None):
        assert json.loads(json.dumps(kind.make())) == frozen["record"]


def test_every_release_has_frozen_its_records_and_none_is_unknown():
    assert airflow_provider_pai.__version__ in RELEASES, "run `make freeze`"
    for release in RELEASES:
        assert {path.stem for path in FROZEN if path.parent.name == release} <= KINDS.keys()
    assert {path.stem for path in FROZEN if path.parent.name == RELEASES[-1]} == KINDS.keys()


def test_every_trigger_is_frozen():
    import importlib

    modules = [importlib.import_module(name) for name in named_modules("triggers")]
    public = {
        name
        for module in modules
        for name, one in vars(module).items()
        if isinstance(one, type) and issubclass(one, PollTrigger) and one.__module__ == module.__name__
        if not getattr(one, "__abstractmethods__", None) and not name.startswith("_")
    }
    assert public - {"ListingTrigger"} == TRIGGERS.keys()


class NeedsMore(PaiJobTrigger):
    """A trigger of a careless version."""

    def __init__(self, *, priority: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.priority = priority


def test_a_new_argument_without_a_default_would_not_pass():
    record = json.loads((FOLDER / RELEASES[0] / "trigger-PaiJobTrigger.json").read_text())["record"]
    careless = {**record, "path": f"{__name__}.{NeedsMore.__name__}"}
    with pytest.raises(TypeError, match="priority"):
        read_trigger(careless)


def test_a_number_of_a_later_version_is_refused_by_name():
    later = {"number": TRIGGER.number + 1}
    says = rf"of schema {later['number']}, written by a newer .* reads up to {TRIGGER.number} → upgrade"
    arguments = TRIGGERS["PaiJobTrigger"].make()["arguments"]
    # A TypeError, since that alone leaves Airflow's triggerer alive, and before what it does not know is looked at.
    with pytest.raises(TypeError, match=f"arguments of a trigger {says}"):
        PaiJobTrigger(**{**arguments, "schema_version": later["number"], "priority": 1})
    artifact = {**KINDS["xcom-artifact"].make(), "schema_version": later["number"]}
    with pytest.raises(ValueError, match=f"an artifact {says}"):
        ModelArtifact.from_dict(artifact)
    with pytest.raises(PaiVersionError, match=f"labels {says}"):
        TaggedJob.read("dlc1", "Running", {**ME.tags(1), "airflow_schema": str(later["number"])}, "")


def test_a_manifest_of_a_later_version_is_no_torn_one():
    text = KINDS["manifest"].make().replace('"schema_version": 1', '"schema_version": 9')
    oss = SimpleNamespace(get=lambda uri: text.encode(), list_objects=lambda uri: iter(()))
    with pytest.raises(PaiArtifactError, match=r"_manifest.json: an artifact of schema 9, .* → upgrade"):
        read_artifact(oss, "oss://my-team/models/digits/v/")
    with pytest.raises(PaiVersionError):
        Manifest.from_bytes(text.encode())


def test_a_rollout_stops_before_labels_of_a_later_version():
    eas = FakeEas()
    eas.run(goal("20261121T1800Z-aaaaaaaa"))
    (name,) = eas.members
    eas.label(name, {**eas.members[name].labels, "airflow_schema": "9"})
    with pytest.raises(PaiVersionError, match="labels of schema 9"):
        eas.run(goal("20261122T1800Z-bbbbbbbb"))


def test_a_lease_of_a_later_version_is_held():
    from airflow_provider_pai.rollouts.lease import Holder, Lease
    from airflow_provider_pai.uri import OssUri
    from tests.clock import VirtualClock

    oss, prefix = FakeOss(VirtualClock()), OssUri.parse("oss://my-team/.pai/rollouts/digits/")
    oss.put(prefix.join("00000001.json"), json.dumps({"schema_version": 9, "kept": "elsewhere"}))
    with pytest.raises(PaiVersionError, match="a group's lease of schema 9"):
        Lease(oss, prefix, Holder.of(ME)).take()
    with pytest.raises(PaiNotFoundError):
        oss.get(prefix.join("00000002.json"))
