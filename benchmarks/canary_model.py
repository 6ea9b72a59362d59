"""The model that benchmarks/canary.py deploys: digits by the nearest centroid, and the faults that a model may have.

`python canary_model.py FOLDER PORT` serves `FOLDER/model.json`: `{"version", "centroids", "fault": {…}}`; faults are
`error_rate`, `slow` (times the usual latency), and, counted in predictions, `wrong_after`, `crash_after`, `hang_after`;
`grow` (bytes a prediction keeps), `never_ready`; `poisons`, a file that predictions beyond the tenth touch, and
`suffers`, the file after whose touch half of the predictions fail for a second.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

WORK_SECONDS = 0.01


def train(samples: list[Any]) -> list[list[float]]:
    """Return the mean pixels of each digit."""
    groups = [[sample.pixels for sample in samples if sample.digit == digit] for digit in range(10)]
    return [[sum(column) / len(group) for column in zip(*group, strict=True)] for group in groups]


def predict(centroids: list[list[float]], pixels: list[int]) -> int:
    """Return the digit whose centroid is the nearest."""
    distances = [sum((one - other) ** 2 for one, other in zip(centroid, pixels, strict=True)) for centroid in centroids]
    return distances.index(min(distances))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    model: dict[str, Any]
    served = count(1)
    kept: list[bytes] = []

    def do_GET(self) -> None:
        self.answer(503 if self.model["fault"].get("never_ready") else 200, {})

    def do_POST(self) -> None:
        pixels = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["pixels"]
        fault, number = self.model["fault"], next(self.served)
        time.sleep(WORK_SECONDS * fault.get("slow", 1))
        if number > fault.get("hang_after", number):
            time.sleep(3600)
        if number > fault.get("crash_after", number):
            os._exit(3)
        if "grow" in fault:
            self.kept.append(os.urandom(1) * fault["grow"])
        if "poisons" in fault and number > 10:
            Path(fault["poisons"]).touch()
        if random.random() < (0.5 if self.suffers(fault) else fault.get("error_rate", 0)):
            return self.answer(500, {"version": self.model["version"]})
        digit = predict(self.model["centroids"], pixels)
        if number > fault.get("wrong_after", number):
            digit = (digit + 1) % 10
        return self.answer(200, {"version": self.model["version"], "digit": digit})

    @staticmethod
    def suffers(fault: dict[str, Any]) -> bool:
        shared = Path(fault.get("suffers", "/nowhere"))
        return shared.exists() and time.time() - shared.stat().st_mtime < 1

    def answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    Handler.model = {"fault": {}, **json.loads(Path(sys.argv[1], "model.json").read_text())}
    Server(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
