"""Back to a version that served before: by weight, by redeploying, once over all tries, with nobody left unanswered."""

from __future__ import annotations

import json
import os
import time

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_pai.exceptions import (
    PaiConfigError,
    PaiError,
    PaiNotFoundError,
    PaiTimeoutError,
    RolloutStoppedError,
)
from airflow_provider_pai.identity import TaskName
from airflow_provider_pai.inputs import parse_uri
from airflow_provider_pai.ledger import Event, EventKind, Ledger
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator, EasRollbackOperator
from airflow_provider_pai.rollouts.lease import Holder, Lease
from airflow_provider_pai.rollouts.takeover import Takeover
from tests.dead import dead
from tests.group import PLAN, PROBE, People, ServiceGroup
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

both = pytest.mark.parametrize("deferrable", [False, True])

QUICK = {**PLAN, "interval": 0.1, "drain": 0.1, "keep_versions": 2}


@pytest.fixture
def group(bucket, connection):
    group = ServiceGroup(bucket.bucket_name)
    yield group
    group.clean_up()


def release(group, model, run_id):
    """Bring a model in; whether it is any good is not the question here."""
    given = group.arguments(model, plan=QUICK, skip_analysis="it is gone back from")
    return Task(lambda: EasCanaryDeployOperator(**given), run_id=run_id)


@pytest.fixture
def nights(group):
    """Two nights: the second model serves, the first is retired; return both ends."""
    first = release(group, group.model(20), "night-1").run()
    second = release(group, group.model(21), "night-2").run()
    assert second["outcome"] == "promoted"
    group.eas.wait(first["service"], poll_interval=0.05, until=lambda one: one.status == "Stopped")
    return first, second


def back(at, run_id="back", **changes):
    given = {"task_id": "task", "group": at.name, "poll_interval": 0.05, "wait_timeout": 20, "drain": 0.1, **changes}
    return Task(lambda: EasRollbackOperator(**given), run_id=run_id)


def rows(group):
    return [(row.kind, row.version) for row in Ledger.open().rows() if row.subject == group.name]


@both
def test_by_weight_where_the_service_still_stands(group, nights, deferrable):
    first, second = nights
    task = back(group, deferrable=deferrable, probe=PROBE, reason="people complain")
    with People(group) as people:
        time.sleep(0.2)
        end = task.run()
        time.sleep(0.2)
    assert end == {
        "schema_version": 1,
        "group": group.name,
        "outcome": "restored",
        "reason": "people complain",
        "service": first["service"],
        "version": first["version"],
        "digest": first["digest"],
        "previous": second["service"],
        "previous_version": second["version"],
        "previous_digest": second["digest"],
        "serving_version": first["version"],
    }
    assert task.xcoms["summary"] == (
        f"Group {group.name} serves {first['version']} again, no longer {second['version']}"
    )
    assert task.xcoms["pai_eas_service_url"].endswith(f"{first['service']}/detail")
    assert people.lost == []
    assert {status for _, status in people.counts} == {200}
    assert {version for version, _ in people.counts} == {first["version"], second["version"]}
    assert group.serving() == first["version"]
    assert group.traffic() == {first["service"]: (100, True), second["service"]: (0, False)}
    assert group.labels(first["service"])["airflow_phase"] == "promoted"
    assert group.labels(second["service"])["airflow_phase"] == "rolled_back"
    assert group.labels(second["service"])["airflow_note"] == "rolled back by hand: people complain"
    last = list(Ledger.open().rows())[-1]
    assert (last.kind, last.subject, last.version, last.digest) == (
        "restored",
        group.name,
        end["version"],
        end["digest"],
    )
    assert {**end, "triggered_by": "somebody"}.items() <= json.loads(last.payload).items()
    assert task.run() == end
    assert len([kind for kind, _ in rows(group) if kind == "restored"]) == 1
    with pytest.raises(AirflowSkipException, match="rolled back before"):
        release(group, artifact_of(group, second), "again").run()


@pytest.mark.parametrize("stands", [True, False])
def test_a_cleared_deployment_of_what_serves_again_ends_with_a_rollout_s_reason(group, nights, stands):
    first, _ = nights
    if not stands:
        group.eas.delete(first["service"])
        group.eas.wait(first["service"], poll_interval=0.05, until=lambda one: one.status == "Deleted")
    assert back(group).run()["service"] == first["service"]
    cleared = release(group, artifact_of(group, first), "night-1")
    cleared.max_tries = 2
    end = cleared.run()
    assert end["service"] == first["service"]
    if stands:
        assert (end["outcome"], end["reason"]) == (first["outcome"], first["reason"])
    else:
        assert (end["outcome"], end["reason"]) == ("unchanged", f"{first['service']} serves it already")


def artifact_of(group, end):
    return f"oss://{group.bucket}/models/{end['version']}/"


@pytest.mark.parametrize("spoil", ["unknown_status", "missing"])
def test_what_serves_is_no_version_to_go_back_to_whatever_its_traffic_is_called(group, nights, pai, spoil):
    pai.account.faults.add(match="api DescribeService ", spoil=spoil, fields="TrafficState")
    assert back(group).make().hook.group(group.name).members[-1].grouping
    pai.account.faults.rules[-1].times = 3
    assert back(group, f"back-{spoil}").run()["service"] == nights[0]["service"]


@both
def test_by_redeploying_its_artifact_where_the_service_is_gone(group, nights, pai, deferrable):
    first, _ = nights
    group.eas.delete(first["service"])
    group.eas.wait(first["service"], poll_interval=0.05, until=lambda one: one.status == "Deleted")
    for call in ("api CreateService ", "oss POST .*/.pai/"):
        pai.account.faults.add(match=call, times=1, status=429, code="Throttling.User")
    with People(group) as people:
        end = back(group, deferrable=deferrable).run()
    assert people.lost == []
    assert {status for _, status in people.counts} == {200}
    assert (end["service"], end["version"], end["digest"]) == (first["service"], first["version"], first["digest"])
    assert group.serving() == first["version"]
    assert group.labels(first["service"])["airflow_phase"] == "promoted"


@pytest.mark.parametrize("to", ["previous", "promoted", "named", "artifact"])
def test_which_version(group, nights, to):
    first, second = nights
    third = release(group, group.model(22), "night-3").run()
    given = {"to": first["version"]} if to == "named" else {"to": to}
    if to == "artifact":
        given = {"artifact": artifact_of(group, first)}
    end = back(group, **given).run()
    expected = {"previous": second, "promoted": third}.get(to, first)
    assert end["version"] == expected["version"]
    assert end["outcome"] == ("unchanged" if to == "promoted" else "restored")
    assert group.serving() == expected["version"]
    if to == "previous":
        # What was bad is not gone back to: another rollback goes to the one before.
        assert back(group, "back-2").run()["version"] == first["version"]


def test_a_version_that_only_the_ledger_knows(group, nights):
    first, _ = nights
    group.eas.delete(first["service"])
    moved = f"oss://{group.bucket}/elsewhere/{first['version']}/"
    for info in group.oss.list_objects(artifact_of(group, first)):
        group.oss.put(moved + info.uri.key.rpartition("/")[2], group.oss.get(info.uri))
        group.oss.delete(info.uri)
    payload = {"uri": moved}
    Ledger.open().record(
        Event(key="a", kind=EventKind.ARTIFACT_PRODUCED, subject="digits", version=first["version"], payload=payload)
    )
    assert back(group).run()["version"] == first["version"]
    assert group.serving() == first["version"]


class WorkerLostError(BaseException):
    """Ends a worker as SIGKILL does."""


def lost(*_args, **_kwargs):
    raise WorkerLostError


@pytest.mark.parametrize("at", ["wait", "move", "settle", "record"])
def test_a_lost_worker_s_retry_goes_on_with_the_same_version(group, nights, monkeypatch, at):
    first, second = nights
    with monkeypatch.context() as patch:
        patch.setattr(Takeover if at in ("move", "settle") else EasRollbackOperator, at, lost)
        task = back(group)
        with pytest.raises(WorkerLostError):
            task.run()
    assert task.run()["version"] == first["version"]
    assert group.serving() == first["version"]
    assert group.traffic()[second["service"]] == (0, False)
    assert rows(group)[-1] == ("restored", first["version"])
    assert set(group.state()) == {first["service"], second["service"]}


@both
def test_wrong_golden_answers_move_nothing_and_stop_what_was_started(group, nights, deferrable):
    first, second = nights
    wrong = {"requests": [{"path": "/predict", "json": {"golden": 1}, "expect": {"answer": 41}}]}
    with pytest.raises(RolloutStoppedError, match="does not answer golden requests as expected"):
        back(group, deferrable=deferrable, probe=wrong).run()
    assert group.serving() == second["version"]
    assert group.state()[first["service"]][0] in ("Stopping", "Stopped")


@both
def test_what_does_not_come_up_in_time_is_stopped_again(group, nights, pai, deferrable):
    first, second = nights
    pai.account.change_settings({"dwell": 3})
    try:
        with pytest.raises(PaiTimeoutError):
            back(group, deferrable=deferrable, wait_timeout=0.5).run()
        assert group.state()[first["service"]][0] in ("Stopping", "Stopped")
    finally:
        pai.account.change_settings({"dwell": 0.01})
    assert group.serving() == second["version"]
    # The next try comes while it is still being stopped.
    assert back(group, deferrable=deferrable).run()["version"] == first["version"]


def test_a_killed_rollback_stops_what_it_has_started(group, nights):
    first, second = nights
    operator = EasRollbackOperator(task_id="task", group=group.name, poll_interval=0.05)
    task = Task(lambda: operator)
    operator.hook.wait = lambda *args, **kwargs: operator.on_kill() or lost()
    with pytest.raises(WorkerLostError):
        task.run()
    assert group.state()[first["service"]][0] in ("Stopping", "Stopped")
    assert group.serving() == second["version"]


def test_a_rollout_that_is_under_way_holds_the_group(group, nights):
    holder = Holder(key="other", name=TaskName("nightly", "r", "deploy", -1))
    lease = Lease(group.oss, parse_uri("x", f"oss://{group.bucket}/.pai/rollouts/{group.name}/"), holder)
    assert lease.take() is None
    with pytest.raises(PaiError, match=rf"group {group.name} is held by nightly.deploy of run r → end that task first"):
        back(group).run()
    lease.release()
    assert back(group).run()["outcome"] == "restored"


def test_a_home_that_nobody_can_use_any_more_bars_no_way_back(group, nights, pai, caplog, capsys):
    first, _ = nights
    pai.account.faults.add(match=rf"^oss (GET|POST) /{group.bucket}/($|\.pai/)", status=403, code="AccessDenied")
    end = back(group).run()
    assert (end["outcome"], end["service"]) == ("restored", first["service"])
    assert f"Going back without the lease of group {group.name}: " in caplog.text + capsys.readouterr().out


def test_a_lease_that_can_t_be_given_back_undoes_nothing(group, nights, pai):
    first, _ = nights
    pai.account.faults.add(match=rf"^oss PUT /{group.bucket}/\.pai/rollouts/", status=403, code="AccessDenied")
    task = back(group)
    assert task.run()["service"] == task.xcoms["return_value"]["service"] == first["service"]
    assert group.serving() == first["version"]


def test_what_is_no_lease_bars_no_way_back(group, nights):
    first, _ = nights
    group.oss.put(f"oss://{group.bucket}/.pai/rollouts/{group.name}/00000099.json", "{")
    assert back(group).run()["service"] == first["service"]


def test_a_service_that_is_made_again_tells_where_the_state_lies(group, nights):
    first, _ = nights
    group.eas.delete(first["service"])
    end = back(group, to=first["version"]).run()
    assert group.labels(end["service"])["airflow_state"] == f"oss://{group.bucket}/.pai/"


def test_traffic_that_someone_else_moved_is_left_alone(group, nights):
    first, second = nights
    third = release(group, group.model(22), "night-3").run()
    group.eas.wait(second["service"], poll_interval=0.05, until=lambda one: one.status == "Stopped")
    group.eas.start(second["service"])
    group.eas.wait(second["service"], poll_interval=0.05, until=lambda one: one.status == "Running")
    group.eas.release(second["service"], weight=10, grouping=True)
    with pytest.raises(RolloutStoppedError, match=f"{second['service']} carries traffic"):
        back(group, to=first["version"]).run()
    assert group.traffic()[third["service"]] == (100, True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"group": "Digits"}, "group: 'Digits'"),
        ({"to": " "}, "to: ' ' is not allowed; it must be previous, promoted or a version"),
        ({"drain": "-1"}, "drain: '-1' is not allowed; a span of at least 0 s: seconds, a text as 90s"),
        ({"wait_timeout": 0}, "wait_timeout: 0"),
        ({"reason": " "}, "reason: ' ' is not allowed"),
        ({"artifact": "s3://x/y"}, "artifact: 's3://x/y'"),
        ({"probe": {"requests": []}}, r"probe\['requests'\]"),
    ],
)
def test_bad_input_is_refused(group, changes, message):
    with pytest.raises(PaiConfigError, match=message):
        back(group, **changes).run()


def test_a_group_that_is_not_there_yet_may_be_later(group):
    with pytest.raises(PaiNotFoundError, match="group: 'no_such_group_here' is not there; a group with"):
        back(group, group="no_such_group_here").run()


def test_nothing_served_before(group):
    release(group, group.model(20), "night-1").run()
    with pytest.raises(PaiConfigError, match="nothing tells what group"):
        back(group).run()


@pytest.fixture
def celery(monkeypatch):
    """Workers on several machines, each with an SQLite file of its own."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")


def gone(group, end):
    group.eas.delete(end["service"])
    group.eas.wait(end["service"], poll_interval=0.05, until=lambda one: one.status == "Deleted")


@both
def test_a_file_of_one_worker_of_many_does_not_bring_back_what_was_bad(
    group, nights, celery, monkeypatch, tmp_path, deferrable
):
    first, second = nights
    other, own = tmp_path / "b", os.environ["AIRFLOW_HOME"]
    monkeypatch.setenv("AIRFLOW_HOME", str(other))
    assert back(group, "bad").run()["version"] == first["version"]
    gone(group, second)
    for member in group.eas.group(group.name).members:  # labels are lost, as people lose them
        group.eas.label(member.name, {**member.labels, "airflow_rejected": "-"})
    monkeypatch.setenv("AIRFLOW_HOME", own)
    with pytest.raises(PaiConfigError, match="CeleryExecutor") as refused:
        back(group, "back", deferrable=deferrable).run()
    assert f"these stand: {first['version']} (Running)" in str(refused.value)
    assert group.serving() == first["version"]
    assert back(group, "named", to=first["version"]).run()["outcome"] == "unchanged"


def test_services_that_stand_are_enough_for_a_worker_of_many(group, nights, celery, caplog):
    first, _ = nights
    assert back(group).run()["version"] == first["version"]
    told = [record for record in caplog.records if "CeleryExecutor" in record.getMessage()]
    assert len(told) <= 1


def test_a_named_version_is_made_again_by_a_worker_of_many(group, nights, celery):
    first, _ = nights
    gone(group, first)
    with pytest.raises(PaiConfigError, match="these stand"):
        back(group).run()
    assert back(group, to=first["version"]).run()["version"] == first["version"]


@both
def test_a_dead_ledger_bars_no_way_back_to_a_service_that_stands(group, nights, deferrable):
    first, second = nights
    with dead("silent"):
        task = back(group, deferrable=deferrable)
        end = task.run()
        assert (end["outcome"], end["service"]) == ("restored", first["service"])
        assert task.xcoms["return_value"] == end
        gone(group, second)
        with pytest.raises(PaiConfigError, match=r"the ledger can't be read \(.*; these stand: "):
            back(group, "again").run()
        assert back(group, "named", to=first["version"]).run()["outcome"] == "unchanged"
    assert rows(group)[-1] == ("promoted", second["version"])
    # Whoever asks next has the row that waited before anything is chosen: what was bad is not gone back to.
    with pytest.raises(PaiConfigError, match="nothing tells what group"):
        back(group, "later").run()
    assert rows(group)[-1] == ("restored", first["version"])


def test_its_own_error_is_what_a_rollback_ends_with_when_the_ledger_is_dead_too(group, nights):
    wrong = {"requests": [{"path": "/predict", "json": {"golden": 1}, "expect": {"answer": 41}}]}
    with dead("refused"), pytest.raises(RolloutStoppedError, match="does not answer golden requests as expected"):
        back(group, probe=wrong).run()
    assert group.serving() == nights[1]["version"]
