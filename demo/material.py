"""Material of the demo: the UCI handwritten digits on OSS and the training code in a Git repository."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from demo.nights import Night, arrival_times

EXAMPLES = Path(__file__).resolve().parent.parent / "example_dags"
BUCKET = "pai-demo"
RAW = f"oss://{BUCKET}/raw"

_HELD_OUT = 400
# A split in which more data gives a better model every night.
_SEED = 24
_GIT_USER = ("-c", "user.name=demo", "-c", "user.email=demo@example.com", "-c", "commit.gpgsign=false")


@dataclass(frozen=True)
class Sample:
    """One handwritten digit: 8 x 8 pixels of 0 to 16."""

    digit: int
    pixels: list[int]


def load_samples() -> tuple[list[Sample], list[Sample]]:
    """Return the samples for training and the held-out ones, always the same."""
    import numpy as np
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(_SEED).permutation(len(digits.target))
    every = [Sample(int(digits.target[i]), digits.data[i].astype(int).tolist()) for i in order]
    return every[_HELD_OUT:], every[:_HELD_OUT]


def lay_out(
    oss: Any, training: list[Sample], held_out: list[Sample], every: list[Night], folder: Path
) -> dict[str, str]:
    """Give the nightly DAG what it needs on an account: its data on OSS, its scripts in Git.

    :param oss: an `OssHook`.
    :param folder: gets the repository.
    :returns: its params `repo` and `commit`.
    """
    upload(oss, training, held_out, every)
    return {"repo": str(folder / "repo"), "commit": commit_code(EXAMPLES / "nightly_retraining", folder / "repo")}


def settings(code: dict[str, str]) -> dict[str, str]:
    """Return what the nightly DAG reads from Airflow's environment."""
    return {
        "RETRAINING_BUCKET": BUCKET,
        "RETRAINING_REPO": code["repo"],
        "RETRAINING_COMMIT": code["commit"],
        "RETRAINING_POLL_SECONDS": "1",
    }


def upload(oss: Any, training: list[Sample], held_out: list[Sample], every: list[Night]) -> None:
    """Put both sets on OSS, once; training samples bear the time at which they arrived.

    :param oss: an `OssHook`.
    """
    times = [time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") for time in arrival_times(every)]
    oss.create_bucket(BUCKET)
    arrived = [f"{time},{row(sample)}" for time, sample in zip(times, training, strict=True)]
    oss.put(f"{RAW}/digits.csv", "\n".join(arrived) + "\n")
    oss.put(f"{RAW}/holdout.csv", "\n".join(map(row, held_out)) + "\n")


def upload_for_examples(oss: Any, bucket: str, training: list[Sample], held_out: list[Sample], examples: Path) -> None:
    """Put data and scripts where the other examples look for them in a bucket.

    :param oss: an `OssHook`.
    :param examples: folder of the example DAGs.
    """
    for name, samples in {"train.csv": training, "holdout.csv": held_out}.items():
        oss.put(f"oss://{bucket}/datasets/digits/{name}", "\n".join(map(row, samples)) + "\n")
    for folder, name in {"nightly_retraining": "digits", "distributed_pytorch": "ddp", "spot_training": "spot"}.items():
        for path in (examples / folder).glob("*.py"):
            oss.put(f"oss://{bucket}/code/{name}/{path.name}", path.read_text())
    requests = [json.dumps({"json": {"pixels": sample.pixels}}) for sample in held_out[:50]]
    oss.put(f"oss://{bucket}/batch/requests.jsonl", "\n".join(requests) + "\n")


def commit_code(source: Path, repository: Path) -> str:
    """Make a Git repository of the scripts in a folder and return the commit."""
    shutil.copytree(source, repository, ignore=shutil.ignore_patterns("__pycache__"))
    for command in (
        ["init", "--quiet", "--initial-branch", "main"],
        ["add", "."],
        [*_GIT_USER, "commit", "--quiet", "--message", "Train and serve the digits model"],
    ):
        subprocess.run(["git", "-C", str(repository), *command], check=True, stdin=subprocess.DEVNULL)
    commit = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    return commit.stdout.strip()


def row(sample: Sample) -> str:
    """Return `digit, 64 pixels`."""
    return ",".join(map(str, (sample.digit, *sample.pixels)))
