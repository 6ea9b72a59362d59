"""A single service back to one of its own versions."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.exceptions import PaiConfigError, PaiNotFoundError
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.operators.eas import EasRollbackServiceOperator
from tests.operators.eas.test_deploy import WorkerLostError, answer, deploy
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

both = pytest.mark.parametrize("deferrable", [False, True])


@pytest.fixture
def models(group):
    """Two models, of which the second serves."""
    found = [group.model(20), group.model(21)]
    for number, model in enumerate(found):
        deploy(group, model, f"night-{number}").run()
    return found


def back(at, run_id="back", **changes):
    given = {"task_id": "task", "service_name": f"{at.name}_one", "poll_interval": 0.05, "wait_timeout": 20}
    return Task(lambda: EasRollbackServiceOperator(**{**given, **changes}), run_id=run_id)


@both
def test_to_the_version_before(group, models, deferrable):
    task = back(group, deferrable=deferrable, reason="it is bad")
    end = task.run()
    assert end == {
        "schema_version": 1,
        "service": f"{group.name}_one",
        "outcome": "restored",
        "reason": "it is bad",
        "service_version": 1,
        "previous_service_version": 2,
        "version": models[0]["version"],
        "digest": models[0]["digest"],
        "previous_version": models[1]["version"],
        "previous_digest": models[1]["digest"],
        "serving_version": models[0]["version"],
        "instances": 1,
    }
    assert answer(group) == models[0]["version"]
    assert task.run() == end
    (row,) = list(Ledger.open().rows())[2:]
    payload = json.loads(row.payload)
    assert (row.kind, row.version, row.digest) == ("restored", end["version"], end["digest"])
    assert end.items() <= payload.items()
    assert payload["triggered_by"] == "somebody"
    assert deploy(group, models[1], "again").run()["service_version"] == 3


@pytest.mark.parametrize("to", ["1", "artifact"])
def test_to_a_version_by_number_or_by_its_artifact_and_forth_again(group, models, to):
    first, second = (model["version"] for model in models)
    assert back(group, to=first if to == "artifact" else to).run()["version"] == first
    end = back(group, "forth", to=second if to == "artifact" else 2).run()
    assert (end["version"], end["previous_service_version"], answer(group)) == (second, 1, second)


@pytest.mark.parametrize(("at", "to"), [("_go", "previous"), ("wait", "previous"), ("wait", "2")])
def test_a_lost_worker_s_retry_goes_on_with_the_same_version(group, models, monkeypatch, at, to):
    if to == "2":
        back(group).run()
    task = back(group, "lost", to=to)
    with monkeypatch.context() as patch:
        patch.setattr(EasRollbackServiceOperator, at, lambda *args: (_ for _ in ()).throw(WorkerLostError))
        with pytest.raises(WorkerLostError):
            task.run()
    assert task.run()["version"] == models[to == "2"]["version"]
    assert len(group.eas.versions(f"{group.name}_one")) == (3 if to == "2" else 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"to": 2}, "to: 2 is not allowed; another of versions 1 to 2 than 2"),
        ({"to": "7"}, "to: '7'"),
        ({"to": "20200101T0000Z-00000000"}, "to: '20200101T0000Z-00000000'"),
        ({"service_name": "X"}, "service_name: 'X'"),
    ],
)
def test_bad_input_is_refused(group, models, changes, message):
    with pytest.raises(PaiConfigError, match=message):
        back(group, **changes).run()
    assert group.eas.get(f"{group.name}_one").facts["version"] == 2


def test_nothing_to_go_back_to(group):
    deploy(group, group.model(20)).run()
    with pytest.raises(PaiConfigError, match="to: 'previous'"):
        back(group).run()
    with pytest.raises(PaiNotFoundError):
        back(group, service_name="no_such_service").run()
