"""Test project's test of the example DAG: two nights unchanged, the second a canary under live traffic.

`test_plugin.py` puts it into a project of its own, where fixtures are the plugin's.
"""

from __future__ import annotations

import itertools
from datetime import datetime
from pathlib import Path

import pytest

from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.testing import assert_complete, assert_promoted
from demo import material, nights

EXAMPLES = Path(material.__file__).parents[1] / "example_dags"


@pytest.mark.pai(speed=120)
def test_a_night_and_the_next(pai, run_dag, tmp_path, monkeypatch):
    commit = material.commit_code(EXAMPLES / "nightly_retraining", tmp_path / "digits")
    settings = {"BUCKET": material.BUCKET, "REPO": (tmp_path / "digits").as_uri(), "COMMIT": commit}
    for name, value in settings.items():
        monkeypatch.setenv(f"RETRAINING_{name}", value)
    earlier, later = nights.nights(datetime.now(nights.ZONE))
    first, second, *_ = later
    training, held_out = material.load_samples()
    material.upload(OssHook(), training, held_out, [*earlier, *later])
    run_dag(EXAMPLES / "pai_nightly_retraining.py", date=first.end)
    digits, pixels = pai.group("digits"), itertools.cycle([{"pixels": sample.pixels} for sample in held_out])
    with digits.traffic(json=lambda: next(pixels), rate=150) as people:
        # More than its own 50: of so few, a machine with other work makes the slowest twentieth slow by chance.
        run = run_dag(EXAMPLES / "pai_nightly_retraining.py", date=second.end, conf={"min_requests": 150})
    model = assert_complete(run.xcom("artifact"))
    assert_promoted(digits, model)
    assert model.metrics["accuracy"] > 0.9
    assert people.failures == []
    assert [job.status for job in pai.jobs] == ["Succeeded"] * 2
