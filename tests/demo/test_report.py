from __future__ import annotations

import json
from types import SimpleNamespace

from demo.report import Report, versions

MODEL = {
    "version": "20261121T1800Z-1",
    "data_interval": {"start": "2026-11-20T18:00:00Z", "end": "2026-11-21T18:00:00Z"},
    "code": {"commit": "4f2a9c10aa"},
    "job": {"id": "dlc1"},
    "metrics": {"accuracy": 0.96},
    "digest": "sha256:0123456789abcdef",
}


def row(kind, version, payload=None):
    return SimpleNamespace(kind=kind, version=version, payload=json.dumps(payload))


def test_the_table_sorts_versions_and_says_what_became_of_each():
    older = {**MODEL, "version": "20261120T1800Z-2"}
    rows = [
        row("artifact_produced", MODEL["version"], MODEL),
        row("promoted", MODEL["version"]),
        row("artifact_produced", older["version"], older),
        row("deployment_step", older["version"]),
    ]
    lines = versions(rows, {older["version"]: 0.01}).splitlines()
    assert lines[2].split()[0] == older["version"]
    assert lines[2].endswith("kept")
    assert ["36 instance s" in line for line in lines[2:]] == [True, False]
    assert lines[3].endswith("promoted")
    assert "2026-11-20 18:00 - 2026-11-21 18:00" in lines[3]


def test_the_report_has_the_promised_shape(tmp_path):
    report = Report()
    run = {"dag_run_id": "manual__1", "logical_date": "2026-11-20T18:00:00Z", "state": "success"}
    report.add_night(run, MODEL, {"group": "digits", "service": "digits_1", "outcome": "deployed", "previous": ""})
    report.write(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert set(written) == {"nights", "backfill", "traffic", "served", "seconds"}
    assert set(written["nights"][0]) == {"run_id", "logical_date", "state", "job_id", "model", "deployment"}
    assert set(written["nights"][0]["deployment"]) == {"group", "service", "outcome", "reason", "steps"}
