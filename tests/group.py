"""Models to deploy to an EAS group of the emulator, and people who use it all the while."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests

from airflow_provider_pai.artifact import DataInterval, ModelArtifact
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.eas.inference import Asker, GoldenRequest
from airflow_provider_pai.hooks.eas.traffic import Endpoint
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.manifests import write_artifact

SERVER = """
import itertools, json, pathlib, random, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

model = json.loads(pathlib.Path(sys.argv[1], "model.json").read_text())
served = itertools.count(1)

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        asked = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(model.get("slow", 0))
        if asked and b"golden" not in asked and model.get("hang"):
            time.sleep(60)
        answered = next(served) if asked else 0
        # What fails in the field was not among the golden requests.
        bad = b"golden" not in asked and random.random() < model.get("fail", 0)
        wrong = answered > model.get("wrong_after", answered)
        answer = 41 if wrong else model.get("answer", 42)
        body = json.dumps({"version": model["version"], "answer": answer, "status": "ok"}).encode()
        self.send_response(500 if bad else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *args):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
"""

PLAN = {
    "interval": 0.3,
    "min_duration": 0.5,
    "max_duration": 60,
    "min_requests": 15,
    "drain": 0.2,
    "ready_timeout": 20,
    "max_p95_ms": 2000,
    # Rules are tried in virtual time; here a step lasts no longer than it takes to see that they are asked.
    "power": 0,
}
METRICS = {"kind": "cloudmonitor", "period": 1, "delay": 0}
PROBE = {"requests": [{"path": "/predict", "json": {"golden": 1}, "expect": {"answer": 42}}]}


def service(server: str) -> dict[str, Any]:
    """Return the service JSON of the server above."""
    return {
        "metadata": {"cpu": 1, "memory": 1000},
        "containers": [
            {
                "image": "registry.example.com/python:3.11",
                "script": "python /mnt/code/server.py {model} 8000",
                "port": 8000,
                # Running is not enough: the server takes a moment.
                "startup_check": {"http_get": {"path": "/", "port": 8000}, "period_seconds": 0.05},
            }
        ],
        "storage": [{"mount_path": "/mnt/code", "oss": {"path": server, "readOnly": True}}],
    }


@dataclass
class ServiceGroup:
    """A group of its own in the emulator, with a bucket for its models."""

    bucket: str
    name: str = field(default_factory=lambda: f"g{uuid.uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        self.oss, self.eas = OssHook(), EasHook()
        self.oss.put(f"oss://{self.bucket}/code/server.py", SERVER)

    def model(self, day: int, **behavior: Any) -> dict[str, Any]:
        """Train a model: its data ended on this day of November; return the artifact as an XCom holds it."""
        version = f"202611{day:02d}T1800Z-{uuid.uuid4().hex[:8]}"
        uri = f"oss://{self.bucket}/models/{version}/"
        self.oss.put(f"{uri}model.json", json.dumps({"version": version, **behavior}))
        self.oss.put(f"{uri}serve.py", SERVER)
        interval = DataInterval(start=f"2026-11-{day - 1:02d}T18:00:00Z", end=f"2026-11-{day:02d}T18:00:00Z")
        facts = {"metrics": {"accuracy": 0.5}, "data_interval": interval}
        artifact = ModelArtifact(name="digits", version=version, uri=uri, **facts)
        return write_artifact(self.oss, artifact).to_dict()

    def arguments(self, artifact: dict[str, Any] | str, **changes: Any) -> dict[str, Any]:
        """Return the arguments of a deployment."""
        given = {
            "task_id": "task",
            "artifact": artifact,
            "group": self.name,
            "plan": PLAN,
            "metrics": METRICS,
            "probe": PROBE,
            "service": service(f"oss://{self.bucket}/code/"),
            "steps": "[20, 60, 100]",
        }
        return {**given, **changes}

    def state(self) -> dict[str, tuple[str, int, bool]]:
        """Return status, weight and traffic of each member."""
        return {m.name: (m.status, m.weight, m.grouping) for m in self.eas.group(self.name).members}

    def traffic(self) -> dict[str, tuple[int, bool]]:
        """Return weight and traffic of each member."""
        return {name: (weight, grouping) for name, (_, weight, grouping) in self.state().items()}

    def labels(self, name: str) -> dict[str, str]:
        """Return a member's labels."""
        member = self.eas.group(self.name).member(name)
        assert member is not None
        return dict(member.labels)

    def serving(self) -> str:
        """Ask the group which version answers."""
        return version_at(self.eas.group_endpoint(self.name))

    def clean_up(self) -> None:
        """Delete every service."""
        for member in self.eas.group(self.name).members:
            self.eas.delete(member.name)


def version_at(endpoint: Endpoint) -> str:
    """Ask an endpoint which version answers, once its gateway reaches it."""
    asker = Asker(endpoint=endpoint, attempts=1, timeout=5, tolerance=0, path="/predict", gateway_timeout=5)
    with asker.session:
        return str(asker.ask(GoldenRequest(json={})).body["version"])


class People:
    """Threads that send requests to a group's endpoint and count the answers by version and status."""

    def __init__(self, group: ServiceGroup, pause: float = 0.01, threads: int = 1, path: str = "/predict") -> None:
        self.counts: Counter[tuple[str, int]] = Counter()
        self.lost: list[str] = []
        self._endpoint, self._path = group.eas.group_endpoint(group.name), path
        self._pause, self._stop = pause, threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(threads)]

    def __enter__(self) -> People:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        url, token = self._endpoint
        with requests.Session() as session:
            session.headers["Authorization"] = token
            while not self._stop.is_set():
                try:
                    answer = session.post(f"{url}{self._path}", json={"x": 1}, timeout=3)
                    self.counts[answer.json().get("version", "gateway"), answer.status_code] += 1
                except (requests.RequestException, ValueError) as error:
                    self.lost.append(repr(error))
                time.sleep(self._pause)
