"""Trigger forms of the example DAGs in the demo: their defaults are values that work there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from demo.material import BUCKET

# Airflow asks this policy for each DAG that it parses, so that the files of the examples need to know no demo.
# Workers ask it not: runs that no form made have the files' own defaults.
_POLICY = '''"""DAG policy of the demo: a param that stands in form.json has its default from there."""

import json
from pathlib import Path


def dag_policy(dag):
    form = json.loads(Path(__file__).with_name("form.json").read_text())
    for name, value in form.get(dag.dag_id, {}).items():
        dag.params[name] = value
'''

# Steps of seconds instead of minutes: the demo's traffic gives each step its hundred answers soon enough.
NIGHTLY: dict[str, Any] = {"step_seconds": 3, "look_seconds": 1, "drain_seconds": 1, "min_requests": 10}


def write_form(home: Path, code: dict[str, Any], model: str = "") -> None:
    """Give Airflow the forms' defaults; once there is a model, once more.

    :param home: AIRFLOW_HOME.
    :param code: repository and commit of the scripts.
    :param model: address of the version that serves.
    """
    artifact = {"artifact": model} if model else {}
    plan = {"interval": 1, "min_duration": 3, "min_requests": 10, "drain": 1, "bake": 30}
    defaults = {
        "pai_nightly_retraining": {**NIGHTLY, **code},
        "pai_rollback": {"drain_seconds": 1},
        "pai_hyperparameter_sweep": {"bucket": BUCKET},
        "pai_distributed_pytorch": {"bucket": BUCKET},
        "pai_spot_training": {"bucket": BUCKET},
        "pai_batch_prediction": artifact,
        "pai_canary_approval": {**artifact, "plan": plan, "metrics": {"kind": "cloudmonitor", "period": 1}},
    }
    folder = home / "config"
    folder.mkdir(exist_ok=True)
    (folder / "airflow_local_settings.py").write_text(_POLICY)
    new = folder / "form.new"
    new.write_text(json.dumps(defaults))
    new.replace(folder / "form.json")
