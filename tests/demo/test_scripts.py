"""The scripts of the nightly retraining, as PAI would run them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.material import load_samples
from demo.traffic import Client, is_digit

SCRIPTS = Path(__file__).parents[2] / "example_dags" / "nightly_retraining"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def rows(samples, prefix=""):
    return "".join(f"{prefix}{sample.digit},{','.join(map(str, sample.pixels))}\n" for sample in samples)


@pytest.fixture(scope="module")
def samples():
    return load_samples()


@pytest.fixture(scope="module")
def model(tmp_path_factory, samples):
    """Train on two workers and return the output folder."""
    data, output = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("output")
    training, held_out = samples
    (data / "train.csv").write_text(rows(training[:500]))
    (data / "holdout.csv").write_text(rows(held_out))
    environment = {
        **os.environ,
        "PAI_INPUT_DATASET_DIR": str(data),
        "PAI_OUTPUT_DIR": str(output),
        "PAI_PARAMS": '{"rounds": 10}',
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": "2",
    }
    workers = [
        subprocess.Popen([sys.executable, str(SCRIPTS / "train.py")], env={**environment, "RANK": rank})
        for rank in "10"
    ]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    (output / "_manifest.json").write_text(json.dumps({"artifact": {"version": "v1"}}))
    return output


@pytest.fixture
def serve(model):
    """Start serve.py and return its process and a client."""
    started = []

    def start(**environment):
        port = free_port()
        server = subprocess.Popen(
            [sys.executable, str(model / "serve.py")],
            env={**os.environ, "HOST": "127.0.0.1", "PORT": str(port), **environment},
        )
        client = Client(f"http://127.0.0.1:{port}/", "token")
        started.append((server, client))
        end = time.monotonic() + 30
        while client.ask([0] * 63)[0] not in (400, 500) and time.monotonic() < end:
            time.sleep(0.05)
        return server, client

    yield start
    for server, client in started:
        client.close()
        server.kill()
        server.wait()


def test_two_workers_train_one_model_from_all_rows(model):
    metrics = json.loads((model / "metrics.json").read_text())
    assert (metrics["train_rows"], metrics["workers"]) == (500, 2)
    assert metrics["accuracy"] > 0.8
    assert json.loads((model / "params.json").read_text())["rounds"] == 10


def test_serves_what_was_measured(serve, model, samples):
    _, client = serve()
    answers = [client.ask(sample.pixels)[1] for sample in samples[1]]
    assert all(is_digit(answer) and answer["version"] == "v1" for answer in answers)
    right = sum(answer["digit"] == sample.digit for answer, sample in zip(answers, samples[1], strict=True))
    assert right / len(answers) == json.loads((model / "metrics.json").read_text())["accuracy"]


def test_fails_the_share_that_was_asked_for(serve, samples):
    _, client = serve(FAIL_SHARE="1")
    status, answer = client.ask(samples[1][0].pixels)
    assert (status, answer["version"]) == (500, "v1")


def test_answers_what_has_arrived_before_it_ends(serve, samples):
    server, client = serve()
    assert client.ask(samples[1][0].pixels)[0] == 200
    server.send_signal(signal.SIGTERM)
    assert server.wait(10) == 0
