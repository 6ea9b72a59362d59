"""Bad nights of planted defects and of the example DAGs: each defect is found, and nothing else is.

Eight DAG files in tests/testing/chaos/planted/ have one defect each; the examples have none. Each is played by
`airflow_provider_pai.testing.chaos` on an Airflow of its own, one after the other. Wrong is a file of which something
else is found than is planted in it.

    python benchmarks/bad_nights.py [--only twice pai_rollback …] [--nights calm lost …]

prints one JSON line: {"files", "wrong", "nights", "killed", "evicted", "requests", "failed_requests", "seconds": {file:
seconds}}; what was found goes to standard error.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
from airflow_provider_pai.testing.chaos import NIGHTS, Given, Report, play  # noqa: E402

PLANTED, EXAMPLES = ROOT / "tests" / "testing" / "chaos" / "planted", ROOT / "example_dags"
# What each planted defect is found as: the rules, and the task. Who waits apart from what submits can't submit again.
DEFECTS = {
    "twice": {("paid_twice", "train"), ("fails", "trained")},
    "fixed_path": {("overwritten", "train")},
    "sleep_loop": {("runs_on", "train")},
    "secret": {("secret_in_file", "train")},
    "endless": {("no_time_limit", "train")},
    "backfill": {("backfill", "deploy")},
    "unpinned": {("unpinned_image", "train")},
    "few_requests": {("min_requests", "deploy")},
}
GROUP, BUCKET = "digits", "my-team"
SERVE = "python {model}/serve.py {model} 8000"


@dataclass(frozen=True)
class Example:
    """What an example DAG needs to run."""

    conf: tuple[dict[str, Any], ...] = ({},)
    env: dict[str, str] = field(default_factory=dict)
    event: dict[str, Any] = field(default_factory=dict)
    before: Callable[[str], None] = lambda night: None


def planted(name: str) -> Given:
    return Given(dag_file=PLANTED / f"{name}.py", data={PLANTED / "material": "oss://night/code"})


def example(name: str, folder: Path) -> Given:
    needs = EXAMPLE_NEEDS[name](folder)
    return Given(dag_file=EXAMPLES / f"{name}.py", **vars(needs))


def nightly(folder: Path) -> Example:
    from demo.material import commit_code

    commit = commit_code(EXAMPLES / "nightly_retraining", folder / "repo")
    env = {"RETRAINING_BUCKET": BUCKET, "RETRAINING_REPO": str(folder / "repo"), "RETRAINING_COMMIT": commit}
    return Example(conf=({"look_seconds": 1, "step_seconds": 2, "drain_seconds": 1},), env=env, before=raw_digits)


def raw_digits(night: str) -> None:
    """Put the digits where the nightly retraining looks for them; all of them have arrived long ago."""
    if night == "calm":
        from airflow_provider_pai.hooks.oss import OssHook
        from demo.material import load_samples, row

        training, held_out = load_samples()
        OssHook().put(
            f"oss://{BUCKET}/raw/digits.csv", "".join(f"2026-01-01T00:00:00,{row(one)}\n" for one in training)
        )
        OssHook().put(f"oss://{BUCKET}/raw/holdout.csv", "".join(f"{row(one)}\n" for one in held_out))


def scripts(night: str) -> None:
    """Put data and scripts where the examples that train look for them."""
    if night == "calm":
        from airflow_provider_pai.hooks.oss import OssHook
        from demo.material import load_samples, upload_for_examples

        upload_for_examples(OssHook(), BUCKET, *load_samples(), EXAMPLES)


def model(number: int) -> str:
    """Return where the model of a night lies."""
    return f"oss://{BUCKET}/models/digits/202611{number + 10:02d}T1800Z-0000000{number}/"


def models(night: str) -> None:
    """Make a model for each night, each younger than the one before, and a file of requests."""
    if night == "calm":
        from airflow_provider_pai.artifact import DataInterval, ModelArtifact
        from airflow_provider_pai.hooks.oss import OssHook
        from airflow_provider_pai.manifests import write_artifact
        from tests.group import SERVER

        oss = OssHook()
        for number in range(len(NIGHTS)):
            uri = model(number)
            version = uri.rstrip("/").rpartition("/")[2]
            oss.put(f"{uri}model.json", json.dumps({"version": version}))
            oss.put(f"{uri}serve.py", SERVER)
            end = f"2026-11-{number + 10}T18:00:00Z"
            interval = DataInterval(start=f"2026-11-{number + 9:02d}T18:00:00Z", end=end)
            write_artifact(oss, ModelArtifact(name="digits", version=version, uri=uri, data_interval=interval))
        oss.put(f"oss://{BUCKET}/batch/requests.jsonl", '{"json": {}, "expect": {"answer": 42}}\n' * 100)


def served(night: str) -> None:
    """Bring models into the group, so that there is one to go back to."""
    from airflow_provider_pai.hooks.oss import OssHook
    from airflow_provider_pai.operators.eas import EasCanaryDeployOperator
    from tests.group import ServiceGroup
    from tests.task import Task

    if night == "calm":
        OssHook().create_bucket(BUCKET)
    group = ServiceGroup(BUCKET, GROUP)
    days = {"calm": (1, 2)}.get(night, (3 + list(NIGHTS).index(night),))
    for day in days:
        arguments = group.arguments(group.model(day), steps="[50, 100]")
        Task(lambda given=arguments: EasCanaryDeployOperator(**given), run_id=uuid.uuid4().hex).run()


def batch(_: Path) -> Example:
    return Example(conf=({"artifact": model(0), "path": "/predict", "command": SERVE},), before=models)


def approval(_: Path) -> Example:
    fast = {
        "plan": {"interval": 1, "min_duration": 2, "drain": 1, "bake": 2},
        "metrics": {"kind": "cloudmonitor", "period": 1, "delay": 0},
        "command": SERVE,
    }
    conf = tuple({**fast, "artifact": model(number)} for number in range(len(NIGHTS)))
    return Example(conf=conf, before=models)


def sweep(_: Path) -> Example:
    return Example(conf=({"grid": {"max_depth": [1, 4], "learning_rate": [0.3]}},), before=scripts)


def landing(_: Path) -> Example:
    def before(night: str) -> None:
        if night == "calm":
            from airflow_provider_pai.hooks.oss import OssHook

            OssHook().put(f"oss://{BUCKET}/landing/a.csv", "1\n2\n")

    return Example(event={"payload": {"objects": [{"uri": f"oss://{BUCKET}/landing/a.csv"}]}}, before=before)


def rollback(_: Path) -> Example:
    conf = {"reason": "a bad night", "group": GROUP, "drain_seconds": 1}
    return Example(conf=(conf,), before=served)


EXAMPLE_NEEDS: dict[str, Callable[[Path], Example]] = {
    "pai_nightly_retraining": nightly,
    "pai_hyperparameter_sweep": sweep,
    "pai_batch_prediction": batch,
    "pai_canary_approval": approval,
    "pai_oss_landing": landing,
    "pai_rollback": rollback,
    "pai_spot_training": lambda _: Example(conf=({"epochs": 20, "pause": 0.2},), before=scripts),
}
if importlib.util.find_spec("torch"):
    EXAMPLE_NEEDS["pai_distributed_pytorch"] = lambda _: Example(conf=({"epochs": 2},), before=scripts)


def say(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", file=sys.stderr, flush=True)


def evenings(names: list[str], nights: list[str]) -> Iterator[tuple[str, Report]]:
    for name in names:
        with tempfile.TemporaryDirectory(prefix="bad-nights-") as folder:
            say(name)
            given = planted(name) if name in DEFECTS else example(name, Path(folder))
            yield name, play(replace(given, nights=nights), Path(folder) / "evening", say)


def main() -> None:
    every = [*DEFECTS, *EXAMPLE_NEEDS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=every, default=every)
    parser.add_argument("--nights", nargs="*", choices=NIGHTS, default=list(NIGHTS))
    options = parser.parse_args()
    reports = dict(evenings(options.only, options.nights))
    wrong = {
        name: [str(finding) for finding in report.findings]
        for name, report in reports.items()
        if {(finding.rule, finding.task) for finding in report.findings} != DEFECTS.get(name, set())
    }
    for name, report in reports.items():
        say(f"{'WRONG: ' if name in wrong else ''}{name}\n{report}")
    nights = [night for report in reports.values() for night in report.nights]
    found = {
        "files": len(reports),
        "wrong": len(wrong),
        "nights": len(nights),
        "killed": sum(len(night["killed"]) for night in nights),
        "evicted": sum(len(night["evicted"]) for night in nights),
        "requests": sum(report.requests for report in reports.values()),
        "failed_requests": sum(report.failed_requests for report in reports.values()),
        "seconds": {name: report.seconds for name, report in reports.items()},
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
