"""Trains a digit classifier on machines that may be taken away: each attempt goes on at the last checkpoint."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np

DATA, OUTPUT = Path(os.environ["PAI_INPUT_DATASET_DIR"]), Path(os.environ["PAI_OUTPUT_DIR"])
CHECKPOINT, ATTEMPT = Path(os.environ["PAI_CHECKPOINT_DIR"]) / "checkpoint.npz", int(os.environ["PAI_ATTEMPT"])
PARAMS = {
    "epochs": 60,
    "checkpoint_every": 5,
    "pause": 0,
    "hidden": 32,
    "learning_rate": 0.1,
    "batch_size": 32,
    **json.loads(os.environ.get("PAI_PARAMS", "{}")),
}

# The weights, the epoch that comes next, and at which epoch each attempt after the first has gone on.
State = dict[str, np.ndarray]
WEIGHTS = ("w1", "b1", "w2", "b2")


def read(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read rows of `label, 64 pixels of 0 to 16`."""
    table = np.loadtxt(DATA / name, delimiter=",")
    return table[:, 1:] / 16, table[:, 0].astype(int)


def begin() -> State:
    """Return what nothing has been learnt of."""
    random, hidden = np.random.default_rng(0), int(PARAMS["hidden"])
    return {
        "w1": random.normal(0, 0.2, (64, hidden)),
        "b1": np.zeros(hidden),
        "w2": random.normal(0, 0.2, (hidden, 10)),
        "b2": np.zeros(10),
        "epoch": np.array(0),
        "gone_on_at": np.array([], dtype=int),
    }


def load() -> State:
    """Return the state of the last checkpoint, or the beginning."""
    if not CHECKPOINT.exists():
        return begin()
    with np.load(CHECKPOINT) as saved:
        return {name: saved[name] for name in saved.files}


def save(state: State) -> None:
    """Write, close, rename: under its own name a checkpoint is always whole, whenever the machine goes."""
    new = CHECKPOINT.with_suffix(".new")
    with new.open("wb") as file:
        np.savez(file, **state)
    new.replace(CHECKPOINT)


def probabilities(state: State, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what the hidden layer and the last one say."""
    hidden = np.maximum(pixels @ state["w1"] + state["b1"], 0)
    scores = hidden @ state["w2"] + state["b2"]
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, raised / raised.sum(axis=1, keepdims=True)


def train_epoch(state: State, pixels: np.ndarray, labels: np.ndarray) -> None:
    """Pass over the samples once, in an order that the epoch alone decides: so an attempt repeats none of another."""
    order = np.random.default_rng([1, int(state["epoch"])]).permutation(len(labels))
    size, rate = int(PARAMS["batch_size"]), float(PARAMS["learning_rate"])
    for batch in np.split(order, range(size, len(order), size)):
        hidden, wrong = probabilities(state, pixels[batch])
        wrong[np.arange(len(batch)), labels[batch]] -= 1
        back = (wrong @ state["w2"].T) * (hidden > 0)
        slopes = pixels[batch].T @ back, back.sum(axis=0), hidden.T @ wrong, wrong.sum(axis=0)
        for name, slope in zip(WEIGHTS, slopes, strict=True):
            state[name] = state[name] - rate / len(batch) * slope
    state["epoch"] = state["epoch"] + 1


def main() -> None:
    """Train from where the last attempt was lost, and leave the model and what was measured."""
    epochs, every = int(PARAMS["epochs"]), int(PARAMS["checkpoint_every"])
    pixels, labels = read("train.csv")
    state = load()
    if ATTEMPT > 1:
        state["gone_on_at"] = np.append(state["gone_on_at"], state["epoch"])
    print(f"attempt {ATTEMPT}: {state['epoch']} of {epochs} epochs are not computed again", flush=True)
    while state["epoch"] < epochs:
        train_epoch(state, pixels, labels)
        if state["epoch"] % every == 0:
            save(state)
            print(f"attempt {ATTEMPT}: checkpoint after epoch {state['epoch']}", flush=True)
        time.sleep(float(PARAMS["pause"]))
    np.savez(OUTPUT / "model.npz", **{name: state[name] for name in WEIGHTS})
    pixels, labels = read("holdout.csv")
    accuracy = float((probabilities(state, pixels)[1].argmax(axis=1) == labels).mean())
    saved = int(state["gone_on_at"].sum())
    metrics = {"accuracy": round(accuracy, 4), "attempts": ATTEMPT, "epochs_not_computed_again": saved}
    (OUTPUT / "metrics.json").write_text(json.dumps(metrics, indent=1))
    (OUTPUT / "params.json").write_text(json.dumps(PARAMS, indent=1))
    print(f"attempt {ATTEMPT}: {metrics}", flush=True)


if __name__ == "__main__":
    main()
