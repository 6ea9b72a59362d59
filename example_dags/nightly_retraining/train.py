"""Trains a digit classifier on all workers of an XGBoostJob together; rank 0 leaves the model in PAI_OUTPUT_DIR.

Each worker reads its share of the rows; xgboost.collective sums their histograms, so that every worker grows the same
trees, from all rows.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from xgboost import collective
from xgboost.tracker import RabitTracker

RANK, WORLD_SIZE = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
DATA, OUTPUT = Path(os.environ["PAI_INPUT_DATASET_DIR"]), Path(os.environ["PAI_OUTPUT_DIR"])
PARAMS = {"rounds": 30, "max_depth": 4, "learning_rate": 0.3, **json.loads(os.environ.get("PAI_PARAMS", "{}"))}
PATIENCE = 120.0
"""Seconds that one worker waits for another to start."""


@contextmanager
def together() -> Iterator[None]:
    """Join the other workers: rank 0 runs the tracker and tells the others where at MASTER_ADDR:MASTER_PORT."""
    if WORLD_SIZE == 1:
        yield
        return
    address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    if RANK == 0:
        tracker = RabitTracker(n_workers=WORLD_SIZE, host_ip=address[0])
        tracker.start()
        arguments = tracker.worker_args()
        announce(address, arguments)
    else:
        arguments = ask(address)
    with collective.CommunicatorContext(**arguments, dmlc_task_id=f"{RANK:04d}"):
        print(f"rank {RANK}: {collective.get_world_size()} workers train together", flush=True)
        yield
    if RANK == 0:
        tracker.wait_for()


def announce(address: tuple[str, int], arguments: dict[str, Any]) -> None:
    """Hand the tracker's address to every other worker."""
    with socket.create_server(address) as server:
        server.settimeout(PATIENCE)
        for _ in range(WORLD_SIZE - 1):
            connection, _ = server.accept()
            with connection:
                connection.sendall(json.dumps(arguments).encode())


def ask(address: tuple[str, int]) -> dict[str, Any]:
    """Return the tracker's address as soon as rank 0 is there to tell it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with socket.create_connection(address, timeout=5) as connection:
                found: dict[str, Any] = json.load(connection.makefile())
                return found
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def read(name: str, part: slice = slice(None)) -> xgboost.DMatrix:
    """Read rows of `label, 64 pixels`."""
    table = np.loadtxt(DATA / name, delimiter=",", dtype=np.float32)[part]
    return xgboost.DMatrix(table[:, 1:], label=table[:, 0], nthread=1)


def accuracy(model: xgboost.Booster, samples: xgboost.DMatrix) -> float:
    """Return the share of right answers, 0 to 1."""
    return float((model.predict(samples).argmax(axis=1) == samples.get_label()).mean())


def save(model: xgboost.Booster, metrics: dict[str, float]) -> None:
    """Write the model, what was measured, and the script that serves it."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    model.save_model(OUTPUT / "model.ubj")
    (OUTPUT / "metrics.json").write_text(json.dumps(metrics, indent=1))
    (OUTPUT / "params.json").write_text(json.dumps(PARAMS, indent=1))
    shutil.copy(Path(__file__).with_name("serve.py"), OUTPUT)
    print(f"rank 0: {metrics}", flush=True)


def main() -> None:
    """Train; measure on samples that no training ever saw."""
    started = time.monotonic()
    shard = read("train.csv", slice(RANK, None, WORLD_SIZE))
    print(f"rank {RANK}: {shard.num_row()} rows", flush=True)
    settings = {
        "objective": "multi:softprob",
        "num_class": 10,
        "max_depth": PARAMS["max_depth"],
        "learning_rate": PARAMS["learning_rate"],
        "tree_method": "hist",
        "nthread": 1,
    }
    with together():
        model = xgboost.train(settings, shard, num_boost_round=PARAMS["rounds"])
        rows = int(collective.allreduce(np.array([shard.num_row()]), collective.Op.SUM)[0])
    if RANK == 0:
        metrics = {
            "accuracy": round(accuracy(model, read("holdout.csv")), 4),
            "train_rows": rows,
            "workers": WORLD_SIZE,
            "train_seconds": round(time.monotonic() - started, 2),
        }
        save(model, metrics)


if __name__ == "__main__":
    main()
