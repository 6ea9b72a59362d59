from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred
from alibabacloud_eas20210701.models import DeleteServiceLabelRequest
from oss2.models import BucketVersioningConfig

from airflow_provider_pai.cli.jobs import TaskNow, find_orphans
from airflow_provider_pai.exceptions import (
    PaiArtifactError,
    PaiConfigError,
    PaiTimeoutError,
    RolloutRolledBackError,
    RolloutStoppedError,
    RolloutStuckError,
)
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.ledger import Ledger
from airflow_provider_pai.metrics.lookout import Lookout
from airflow_provider_pai.operators.eas import (
    EasBlueGreenDeployOperator,
    EasCanaryDeployOperator,
    EasDeleteServiceOperator,
)
from airflow_provider_pai.rollouts import candidates
from airflow_provider_pai.rollouts.candidates import EasCandidateHook
from tests.conftest import airflow_connection, oss_bucket
from tests.group import METRICS, PLAN, People, ServiceGroup
from tests.task import Task, WorkerLostError, lost_now

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def group(bucket, connection):
    group = ServiceGroup(bucket.bucket_name)
    yield group
    group.clean_up()


def deploy(at, artifact, run_id, *, run_type="scheduled", deferrable=True, **changes):
    arguments = at.arguments(artifact, deferrable=deferrable, **changes)
    return Task(lambda: EasCanaryDeployOperator(**arguments), run_id=run_id, run_type=run_type)


@pytest.fixture
def first(group):
    """The model of the first night, which serves."""
    model = group.model(20)
    assert deploy(group, model, "first").run()["outcome"] == "deployed"
    return model


def rows(group):
    return [(row.kind, row.version) for row in Ledger.open().rows() if row.subject == group.name]


def overlaps(group, pai):
    """Return what the ledger tells of candidates beside production, and what the account has counted of each."""
    metered = pai.account.meter.read(pai.account.now().timestamp())
    used = [(row.version, json.loads(row.payload)) for row in Ledger.open().rows() if row.kind == "usage"]
    services = {usage["id"].partition(" ")[0].replace("_", "-"): (version, usage) for version, usage in used}
    return [
        (version, usage["cause"], usage["seconds"], entry["Seconds"])
        for service, (version, usage) in services.items()
        for entry in metered
        if service.startswith(f"{group.name}-") and entry["Id"].startswith(service)
    ]


@pytest.mark.parametrize(("deferrable", "percents"), [(True, [20, 60, 100]), (False, [20, 100])])
def test_three_nights_and_a_backfill_under_traffic(group, pai, deferrable, percents, caplog, capsys):
    caplog.set_level("INFO")
    models = [group.model(20), group.model(21), group.model(22, fail=0.6)]
    backfilled = group.model(10)

    night_1 = deploy(group, models[0], "night-1", deferrable=deferrable, steps=percents)
    assert night_1.run() == {
        "schema_version": 1,
        "group": group.name,
        "service": f"{group.name}_{models[0]['version'].lower().replace('-', '_')}",
        "outcome": "deployed",
        "reason": "nothing served before",
        "version": models[0]["version"],
        "digest": models[0]["digest"],
        "previous": None,
        "serving_version": models[0]["version"],
        "steps": [],
        "verdicts": None,
    }
    assert group.serving() == models[0]["version"]
    assert night_1.xcoms["summary"] == f"{models[0]['version']} serves 100 %: nothing served before."
    assert night_1.xcoms["pai_eas_service_url"].endswith(f"{night_1.xcoms['return_value']['service']}/detail")

    with People(group, threads=3) as people:
        night_2 = deploy(group, models[1], "night-2", deferrable=deferrable, steps=percents).run()
    assert (night_2["outcome"], night_2["previous"]) == ("promoted", night_1.xcoms["return_value"]["service"])
    assert [(step["percent"], step["errors"], step["verdict"]) for step in night_2["steps"]] == [
        (percent, 0, "pass") for percent in percents
    ]
    assert all(step["requests"] >= PLAN["min_requests"] and step["p95_ms"] > 0 for step in night_2["steps"])
    assert {step["reason"] for step in night_2["steps"]} == {"within all limits"}
    record = [json.loads(line) for line in group.oss.get(night_2["verdicts"]).splitlines()]
    assert [line["percent"] for line in record] == sorted(line["percent"] for line in record)
    assert {"requests", "errors", "p95_ms", "p80_ms"} <= set(record[-1]["candidate"])
    assert (people.lost, {status for _, status in people.counts}) == ([], {200})
    assert group.serving() == models[1]["version"]
    assert group.state()[night_2["previous"]][0] in ("Stopping", "Stopped")

    night_3 = deploy(group, models[2], "night-3", deferrable=deferrable, steps=percents)
    with People(group, threads=3) as people, pytest.raises(RolloutRolledBackError, match="error rate") as error:
        night_3.run()
    line, night = night_3.xcoms["summary"], models[1]["version"].partition("-")[0]
    assert re.match(rf"Rolled back at 20 % after \d+ requests, \d+ of them errors \(limit \d+ %\)\. {night}", line), (
        line
    )
    assert line.endswith(" serves 100 %, never touched.")
    assert (str(error.value).partition("\n")[0], len(line) < 120) == (line, True)
    assert (error.value.__cause__, error.value.__suppress_context__) == (None, True)
    ended = night_3.xcoms["return_value"]
    assert (ended["outcome"], ended["previous"], ended["steps"][-1]["verdict"]) == (
        "rolled_back",
        night_2["service"],
        "fail",
    )
    assert people.lost == []
    assert {version for version, status in people.counts if status == 500} <= {models[2]["version"]}
    assert group.serving() == models[1]["version"]
    assert group.state()[ended["service"]][1:] == (0, False)

    backfill = deploy(group, backfilled, "backfill", run_type="backfill", deferrable=deferrable, steps=percents)
    with pytest.raises(AirflowSkipException, match="backfill"):
        backfill.run()
    skipped = backfill.xcoms["return_value"]
    assert (skipped["outcome"], skipped["service"], skipped["previous"]) == ("skipped", None, night_2["service"])
    assert backfill.xcoms["summary"] == f"Skipped: {skipped['reason']}. {models[1]['version']} serves."

    assert rows(group) == [
        ("deployed", models[0]["version"]),
        *[("deployment_step", models[1]["version"])] * len(percents),
        ("promoted", models[1]["version"]),
        ("deployment_step", models[2]["version"]),
        ("rolled_back", models[2]["version"]),
        ("skipped", backfilled["version"]),
    ]
    promoted, bad = overlaps(group, pai)
    assert (promoted[:2], bad[:2]) == ((models[1]["version"], "rollout"), (models[2]["version"], "rollout"))
    assert 0 < promoted[2] <= promoted[3] + 1, "it has served since"
    assert 0 < bad[3] <= bad[2] + 1, "whole seconds"
    assert Ledger.open().verify() == []
    token = group.eas.group_endpoint(group.name).token
    log = caplog.text + capsys.readouterr().out
    assert token not in log
    assert "candidate at 20 %: " in log
    assert "→ pass" in log
    assert "→ fail" in log


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        ("deployed", None),
        ("promoted", None),
        ("rolled_back", RolloutRolledBackError),
        ("stopped", RolloutStoppedError),
        ("skipped", AirflowSkipException),
    ],
)
def test_an_end_is_told_and_stands_in_the_ledger_once(group, outcome, error):
    model = group.model(20)
    task = deploy(group, model, "night")
    end = {
        "schema_version": 1,
        "group": group.name,
        "service": f"{group.name}_new",
        "outcome": outcome,
        "reason": "because",
        "version": model["version"],
        "digest": model["digest"],
        "previous": f"{group.name}_old",
        "steps": [{"percent": 20, "requests": 15, "errors": 0, "p95_ms": 6.0, "verdict": "pass", "reason": "fine"}],
        "verdicts": None,
    }
    for _ in range(2):  # an automatic retry hears the same end again
        if error is None:
            assert task.make().finish(task.context(), end) == end
        else:
            with pytest.raises(error, match="because"):
                task.make().finish(task.context(), end)
            assert task.xcoms["return_value"] == end
    assert rows(group) == [("deployment_step", model["version"]), (outcome, model["version"])]
    assert task.xcoms["pai_eas_service_url"].endswith(f"{group.name}_new/detail")


def test_wrong_answers_never_see_traffic(group, first):
    task = deploy(group, group.model(21, answer=41), "wrong")
    with People(group) as people, pytest.raises(RolloutRolledBackError, match="smoke test: 1 of 1 answers are wrong"):
        task.run()
    assert {version for version, _ in people.counts} == {first["version"]}


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_gateway_that_learns_late_of_a_candidate_fails_nobody(group, first, deferrable, gateway_lag):
    gateway_lag(1.5)
    with People(group) as people:
        ended = deploy(group, group.model(21), "late", deferrable=deferrable, steps=[100]).run()
    assert (ended["outcome"], people.lost, {status for _, status in people.counts}) == ("promoted", [], {200})


def test_a_candidate_that_no_gateway_reaches_is_tried_again_by_a_retry(group, first, gateway_lag):
    gateway_lag(60)
    model = group.model(21)
    task = deploy(group, model, "unreached", plan={**PLAN, "gateway_timeout": 0.5}, steps=[100])
    with People(group) as people, pytest.raises(PaiTimeoutError, match=r"not reached for 0\.5 s: .*status 404"):
        task.run()
    ended = task.xcoms["return_value"]
    assert (ended["outcome"], group.state()[ended["service"]][1:]) == ("timed_out", (0, False))
    assert ({version for version, _ in people.counts}, people.lost) == ({first["version"]}, [])
    gateway_lag(0)
    task.try_number += 1
    with People(group):
        assert task.run()["outcome"] == "promoted"
    assert [kind for kind, version in rows(group) if version == model["version"]] == ["deployment_step", "promoted"]


def test_older_data_is_skipped_unless_it_is_allowed(group, first):
    older = group.model(19)
    with pytest.raises(AirflowSkipException, match=r"older than .* \(allow_older\)"):
        deploy(group, older, "older").run()
    allowed = deploy(group, older, "older", allow_older=True)
    assert allowed.make().rollout(allowed.context()).goal.allow_older


def test_the_artifact_may_be_an_address_or_text(group):
    model = group.model(20)
    assert deploy(group, model["uri"], "by address").run()["digest"] == model["digest"]
    assert deploy(group, json.dumps(model), "by json").run()["outcome"] == "unchanged"
    assert deploy(group, repr(model), "by repr").run()["outcome"] == "unchanged"


def test_the_deadline_leaves_time_to_drain(group):
    arguments = group.arguments(group.model(20), plan={**PLAN, "drain": 30}, execution_timeout=timedelta(minutes=10))
    task = Task(lambda: EasCanaryDeployOperator(**arguments), start_date=datetime.now(UTC))
    spec = task.make().rollout(task.context())
    assert task.start_date + timedelta(minutes=10) - datetime.fromisoformat(spec.deadline) >= timedelta(seconds=30)


def test_a_candidate_that_cannot_be_taken_out_is_said_loudly(group, first, pai):
    task = deploy(group, group.model(21), "stuck", deferrable=False)
    task.max_tries = 0
    pai.account.faults.add(match="^api DescribeService", status=403, code="Forbidden.RAM")
    with pytest.raises(RolloutStuckError, match=r"may still have traffic.*Forbidden.RAM"):
        task.run()
    pai.account.faults.clear()


def test_a_killed_task_that_resumes_takes_its_candidate_out(group, first):
    """Airflow 2.11 times it out before `execute_complete`."""
    task = deploy(group, group.model(21), "resumes", deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        task.make().execute(task.context())
    again, context = task.make(), task.context()
    context["ti"].next_method = "execute_complete"
    again.pre_execute(context)
    again.on_kill()
    candidate = deferred.value.trigger.rollout["goal"]["service"]
    assert group.state()[candidate][1:] == (0, False)
    assert group.labels(candidate)["airflow_note"] == "the task was ended by hand"


def test_the_candidate_bears_who_made_it(group):
    made = deploy(group, group.model(20), "run-7").run()
    labels = group.labels(made["service"])
    assert (labels["airflow_dag_id"], labels["airflow_run_id"], labels["airflow_phase"]) == ("dag", "run-7", "promoted")
    assert (labels["airflow_version"], labels["airflow_digest"]) == (made["version"], made["digest"])
    assert len(labels) <= 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": [10, 50]}, r"steps: \[10, 50\] is not allowed; .*the last one 100"),
        ({"steps": "[50, 10, 100]"}, "steps: .*strictly rising"),
        ({"plan": {"max_error_rate": "2"}}, "max_error_rate: '2' is not allowed; a number from 0 to 1"),
        ({"plan": {"patience": 1}}, "patience: 1 is not allowed; fields of a rollout plan"),
        ({"plan": {"steps": [100]}}, "plan: 'steps'"),
        ({"group": "Digits"}, "group: 'Digits' is not allowed; 3 to 63 lowercase"),
        ({"group": ""}, "group: ''"),
        ({"metrics": {"kind": "oracle"}}, r"metrics\['kind'\]: 'oracle' is not allowed; one of cloudmonitor"),
        ({"metrics": []}, r"metrics: \[\] is not allowed; a source as"),
        ({"metrics": {"kind": "cloudmonitor", "color": 1}}, "metrics: 'color' is not allowed; options of"),
        ({"metrics": {"kind": "cloudmonitor", "period": "often"}}, r"metrics\['period'\]: 'often'"),
        ({"probe": {"requests": []}}, r"probe\['requests'\]"),
        ({"probe": {"requests": [{"url": "x"}]}}, r"probe\['requests'\], number 1"),
        ({"probe": {"requests": "oss:///x"}}, r"probe\['requests'\]: 'oss:///x'"),
        ({"service": {}}, "service: .*containers"),
        ({"service": "text"}, "service: 'text'"),
        ({"service": {"containers": [{"image": "", "command": "x"}]}}, r"containers'\]\[0\]\['image'\]: ''"),
        ({"service": {"containers": [{"image": "i", "command": " "}]}}, r"\['command'\]: ' '"),
        ({"service": {"containers": [{"image": "i", "port": 8080}]}}, r"\['port'\]: 8080 .*8080, 9090"),
        ({"service": {"metadata": {"name": "mine"}, "containers": [{"image": "i"}]}}, r"\['name'\]: 'mine'"),
        ({"model_path": "model"}, "model_path: 'model'"),
        (
            {"service": {"labels": {"a": "acs:x"}, "containers": [{"image": "i"}]}},
            r"\['labels'\]\['a'\]: 'acs:x'",
        ),
        (
            {"service": {"labels": dict.fromkeys("abcd", "x"), "containers": [{"image": "i"}]}},
            "3 labels: a resource bears 20, and 17 are the provider's",
        ),
        ({"plan": {"on_conflict": "queue"}}, "on_conflict: 'queue' is not allowed; one of wait, fail, skip"),
        ({"plan_only": "yes"}, "plan_only: 'yes'"),
        ({"skip_analysis": "False"}, "skip_analysis: 'False'"),
        ({"skip_analysis": True}, "skip_analysis: True"),
        ({"artifact": {}}, "artifact: "),
        ({"artifact": "s3://x/y"}, "artifact: 's3://x/y'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_created(group, changes, message):
    given = group.model(20)
    with pytest.raises(PaiConfigError, match=message):
        deploy(group, changes.pop("artifact", given), "bad input", **changes).run()
    assert group.state() == {}


def test_a_probe_file_must_be_json_lines(group):
    uri = f"oss://{group.bucket}/golden.jsonl"
    group.oss.put(uri, '{"path": "/predict"}\nnonsense\n')
    with pytest.raises(PaiConfigError, match="line 2: 'nonsense' is not allowed; one JSON object of path"):
        deploy(group, group.model(20), "probe", probe={"requests": uri}).run()
    group.oss.put(uri, '{"path": "/predict", "json": {"x": 1}, "expect": {"answer": 42.0}}\n\n')
    assert deploy(group, group.model(20), "probe", probe={"requests": uri}).run()["outcome"] == "deployed"


def test_what_has_no_valid_manifest_is_refused(group):
    model = group.model(20)
    group.oss.put(f"{model['uri']}model.json", "{}")
    with pytest.raises(PaiArtifactError, match="the manifest says"):
        deploy(group, model, "torn").run()
    with pytest.raises(PaiArtifactError, match="it was changed"):
        deploy(group, {**group.model(20), "digest": "sha256:0"}, "changed").run()
    with pytest.raises(PaiArtifactError, match="no _manifest"):
        deploy(group, f"oss://{group.bucket}/models/nothing/", "none").run()
    assert group.state() == {}


def test_nothing_is_computed_from_templates_in_the_constructor(group):
    operator = EasCanaryDeployOperator(
        task_id="t",
        artifact="{{ ti.xcom_pull('train') }}",
        group="{{ params.group }}",
        service={"containers": [{"image": "{{ params.image }}"}]},
        steps="{{ params.steps }}",
    )
    assert operator.steps == "{{ params.steps }}"
    assert {"artifact", "group", "service", "steps", "plan", "probe", "metrics"} <= set(operator.template_fields)


def test_delete_service(group):
    made = deploy(group, group.model(20), "one").run()["service"]
    for _ in range(2):
        Task(lambda: EasDeleteServiceOperator(task_id="task", service_name=made, poll_interval=0.05)).run()
    with pytest.raises(PaiConfigError, match="service_name: ''"):
        Task(lambda: EasDeleteServiceOperator(task_id="task", service_name="")).run()
    assert made not in group.state()


def switch(at, artifact, run_id, **changes):
    given = {name: value for name, value in at.arguments(artifact, **changes).items() if name != "steps"}
    return Task(lambda: EasBlueGreenDeployOperator(**given), run_id=run_id)


def test_blue_green_switches_at_once_and_goes_back(group):
    plan = {**PLAN, "bake": 0.5}
    good, bad = group.model(20), group.model(22, fail=0.4)
    assert switch(group, good, "first", plan=plan).run()["outcome"] == "deployed"
    second = group.model(21)
    with People(group, threads=3) as people:
        ended = switch(group, second, "second", plan=plan).run()
        assert (ended["outcome"], [step["percent"] for step in ended["steps"]]) == ("promoted", [100])
        with pytest.raises(RolloutRolledBackError, match="error rate"):
            switch(group, bad, "bad", plan=plan).run()
    assert group.serving() == second["version"]
    assert people.lost == []
    assert {version for version, status in people.counts if status != 200} == {bad["version"]}


def test_blue_green_wants_golden_requests(group):
    with pytest.raises(PaiConfigError, match="probe: None is not allowed; golden requests"):
        switch(group, group.model(20), "unchecked", probe=None).run()


def test_one_that_answers_wrongly_later_is_found_by_its_golden_requests(group, first):
    bad = group.model(21, wrong_after=40)
    with People(group), pytest.raises(RolloutRolledBackError, match=r"golden requests: .*41"):
        deploy(group, bad, "later").run()
    assert group.serving() == first["version"]


def test_a_hanging_model_is_found_without_golden_requests(group, first):
    plan = {**PLAN, "gateway_timeout": 3}
    with People(group, threads=12) as people, pytest.raises(RolloutRolledBackError, match="requests hang"):
        deploy(group, group.model(21, hang=True), "hang", probe=None, plan=plan).run()
    assert {version for version, status in people.counts if status == 200} == {first["version"]}


def test_only_values_that_the_source_tells_have_limits(group):
    plan = {**PLAN, "checks": {"score": {"hard_min": 0.5}}}
    with pytest.raises(PaiConfigError, match="checks: 'score' is not allowed; a value that the metrics source tells"):
        deploy(group, group.model(22), "unknown", plan=plan).run()
    metrics = [METRICS, {"kind": "sql", "conn_id": "scores", "sql": "select 1", "values": ["score"]}]
    task = deploy(group, group.model(22), "known", plan=plan, metrics=metrics)
    assert task.make().rollout(task.context()).metrics == metrics


def test_a_plan_is_shown_and_nothing_is_created(group, first, caplog, capsys):
    caplog.set_level("INFO")
    before = group.state()
    shown = deploy(group, group.model(21), "shown", plan_only="True", skip_analysis="None")
    with pytest.raises(AirflowSkipException, match=r"would create .*\nstep of 20 %: weights 20 and 80"):
        shown.run()
    assert (group.state(), shown.xcoms) == (before, {})
    assert '"script": "python /mnt/code/server.py' in caplog.text + capsys.readouterr().out


def test_in_an_emergency_nobody_judges_and_the_ledger_says_why(group, first):
    model = group.model(21, fail=0.5)
    task = deploy(group, model, "urgent", skip_analysis="the old one leaks")
    end = task.run()
    assert (end["outcome"], end["reason"], end["steps"]) == ("promoted", "not judged: the old one leaks", [])
    assert group.serving() == model["version"]
    (row,) = [row for row in Ledger.open().rows() if (row.kind, row.version) == ("promoted", model["version"])]
    payload = json.loads(row.payload)
    assert (payload["reason"], payload["triggered_by"]) == (end["reason"], "somebody")
    folder = f".pai%2Frollouts%2F{group.name}%2F"
    assert task.xcoms["pai_eas_rollout_url"].endswith(f"/{group.bucket}/object?path={folder}")


def test_a_candidate_whose_worker_was_lost_for_good_is_an_orphan(group, first, monkeypatch):
    lost = group.model(21)
    task = deploy(group, lost, "lost", deferrable=False)
    with monkeypatch.context() as patch:
        patch.setattr(Lookout, "take", lost_now)
        with pytest.raises(WorkerLostError):
            task.run()
    name = next(name for name, (_, weight, _) in group.state().items() if weight == 20)
    mine = lambda now: [o for o in find_orphans([EasCandidateHook()], lambda _name: now) if o.job.job_id == name]  # noqa: E731
    assert mine(TaskNow("running", task.max_tries)) == []
    (orphan,) = mine(TaskNow("failed", task.max_tries))
    text = f"EAS candidate {name} (Running), made by dag.task of run lost: the task is finished (failed); made "
    assert str(orphan).startswith(text)
    monkeypatch.setattr(candidates, "_SECONDS", 2.0)
    with People(group) as people:
        orphan.hook.request_stop(name)
    assert (people.lost, group.state()[name][1:]) == ([], (0, False))
    assert group.state()[name][0] in ("Stopping", "Stopped")
    assert group.serving() == first["version"]
    assert mine(TaskNow("failed", task.max_tries)) == []


@pytest.fixture
def states(pai, monkeypatch):
    """A bucket that the connection names as the home of the state."""
    bucket = oss_bucket(pai, f"states-{uuid.uuid4().hex[:12]}")
    bucket.create_bucket()
    connection = airflow_connection(pai, state_uri=f"oss://{bucket.bucket_name}/airflow")
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(connection))
    return bucket


def test_lease_and_looks_lie_in_the_home_that_the_connection_names(group, states):
    models = [group.model(20), group.model(21)]
    deploy(group, models[0], "first").run()
    with People(group):
        end = deploy(group, models[1], "second").run()
    home = f"oss://{states.bucket_name}/airflow/"
    assert end["verdicts"] == f"{home}rollouts/{group.name}/{end['service']}.jsonl"
    assert group.labels(end["service"])["airflow_state"] == home
    assert not list(group.oss.list_objects(f"oss://{group.bucket}/.pai/"))
    assert list(group.oss.list_objects(home + "_check")) == []


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_a_home_that_keeps_versions_is_refused_before_anything_is_created(group, states, status):
    states.put_bucket_versioning(BucketVersioningConfig("Enabled"))
    states.put_bucket_versioning(BucketVersioningConfig(status))
    with pytest.raises(PaiConfigError, match=rf"state_uri: .*{states.bucket_name}.*versioning is {status}: "):
        deploy(group, group.model(20), "versions").run()
    assert group.state() == {}


def test_a_home_that_is_not_there_is_refused_before_anything_is_created(group, states):
    states.delete_bucket()
    with pytest.raises(PaiConfigError, match=r"state_uri: .*; name a bucket that exists in region"):
        deploy(group, group.model(20), "nowhere").run()
    assert group.state() == {}


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_artifacts_in_a_bucket_that_keeps_versions_are_rolled_out_all_the_same(group, bucket, status):
    bucket.put_bucket_versioning(BucketVersioningConfig("Enabled"))
    bucket.put_bucket_versioning(BucketVersioningConfig(status))
    model = group.model(20)
    assert deploy(group, model, "versions").run()["outcome"] == "deployed"
    assert group.serving() == model["version"]


THROTTLED = {"status": 429, "code": "Throttling.User"}


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("api CreateService ", THROTTLED),
        ("api CreateService ", {"status": 503}),
        ("api CreateService ", {"drop": "request"}),
        ("api CreateService ", {"drop": "answer"}),
        ("api ListServices ", THROTTLED),
        ("oss POST .*/.pai/", THROTTLED),
        ("oss POST .*/.pai/", {"drop": "answer"}),
    ],
)
def test_one_call_without_an_answer_fails_no_try(group, pai, call, fault, deferrable):
    rule = pai.account.faults.add(match=call, times=1, **fault)
    end = deploy(group, group.model(20), "first", deferrable=deferrable).run()
    assert (end["outcome"], rule.times) == ("deployed", 0)
    assert len(group.state()) == 1


def test_a_creation_that_is_throttled_for_long_is_waited_out_by_the_triggerer(group, pai, monkeypatch):
    monkeypatch.setattr(EasHook, "retry_seconds", 0)
    rule = pai.account.faults.add(match="api CreateService ", times=3, **THROTTLED)
    assert deploy(group, group.model(20), "first").run()["outcome"] == "deployed"
    assert rule.times == 0


@pytest.fixture
def meanwhile(monkeypatch):
    """What somebody does while the candidate is looked at for the first time."""
    take = Lookout.take

    def do(deed):
        def once(self, action, *rest):
            monkeypatch.setattr(Lookout, "take", take)
            deed(action)
            return take(self, action, *rest)

        monkeypatch.setattr(Lookout, "take", once)

    return do


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_candidate_that_somebody_deletes_is_not_made_again(group, first, meanwhile, deferrable):
    night = deploy(group, group.model(21), "night-2", deferrable=deferrable)
    meanwhile(lambda action: group.eas.delete(action.candidate))
    with People(group, threads=2) as people, pytest.raises(RolloutStoppedError, match="someone deleted"):
        night.run()
    assert (people.lost, group.serving()) == ([], first["version"])
    with pytest.raises(RolloutStoppedError, match="it is made again if the task is cleared"):
        night.run()
    assert {name: at for name, at in group.traffic().items() if at[1]} == {
        night.xcoms["return_value"]["previous"]: (100, True)
    }


@pytest.mark.parametrize("fail", [0.0, 0.9])
def test_labels_that_somebody_loses_are_written_again(group, first, meanwhile, fail):
    def lose(action):
        for name in (action.candidate, action.stable):
            request = DeleteServiceLabelRequest(keys=list(group.labels(name)))
            group.eas.client.delete_service_label("cn-hangzhou", name, request)

    night = deploy(group, group.model(21, fail=fail), "night-2", steps=[40, 100])
    meanwhile(lose)
    with People(group, threads=2) as people:
        if fail:
            with pytest.raises(RolloutRolledBackError, match="error rate"):
                night.run()
        else:
            assert night.run()["outcome"] == "promoted"
    assert people.lost == []
    ended = night.xcoms["return_value"]
    assert group.labels(ended["service"])["airflow_phase"] == ended["outcome"]
