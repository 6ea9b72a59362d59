"""Load on the emulator: jobs that run in a quota, services that all stand at once, and what answers take meanwhile.

Prints one JSON line; the emulator is the command, in a process of its own. Each part has a client beside it that asks
for one resource every 50 ms: answers_p99_s, answers_max_s.

- jobs: `true`, in a quota of so many pods; submitted by eight threads at once. submitted_s, ended_s: until the last was
  taken, and had succeeded, from the first on.
- services: each a process, and its guard; created by four threads. running_s: until all run. Then each is asked twice
  through the gateway, by eight threads: requests_p99_s, failed. processes_mb: what all processes hold, shared pages
  counted once. It stops at fewer services where the machine has less than `--spare` MB left: count is how many there
  were.
- emulator_mb: the most that the emulator itself held.
- end_s: from SIGTERM to the end of the process; left: processes of its services that are there a second later.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests
from alibabacloud_eas20210701 import models as eas
from alibabacloud_eas20210701.client import Client as EasClient
from alibabacloud_pai_dlc20201203 import models as dlc
from alibabacloud_pai_dlc20201203.client import Client as DlcClient
from alibabacloud_tea_openapi.utils_models import Config
from children import BODY, p99, say

SERVER = (
    "import socket; server = socket.create_server(('0.0.0.0', 8000)); "
    "serve = lambda c: (c.recv(65536), "
    "c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok'), c.close()); "
    "[serve(server.accept()[0]) for _ in iter(int, 1)]"
)
Json = dict[str, Any]


class Load:
    """The clients of one emulator."""

    def __init__(self, process: subprocess.Popen[str], at: Json) -> None:
        self.process = process
        self.at = at
        self.most = 0
        config = Config(
            access_key_id=at["access_key_id"],
            access_key_secret=at["access_key_secret"],
            endpoint=at["endpoint_url"].removeprefix("http://"),
            protocol="http",
            region_id=at["region"],
            read_timeout=60_000,
        )
        self.jobs, self.services = DlcClient(config), EasClient(config)

    def run_jobs(self, count: int) -> Json:
        """Run jobs."""
        body = {**BODY, "ResourceId": "load"}
        request = dlc.CreateJobRequest().from_map(body)
        begun = time.monotonic()
        first = self.jobs.create_job(request).body.job_id
        with self._asking(lambda: self.jobs.get_job(first, dlc.GetJobRequest())) as answers:
            with ThreadPoolExecutor(8) as threads:
                list(threads.map(lambda _: self.jobs.create_job(request), range(count - 1)))
            submitted = time.monotonic() - begun
            while self._jobs("Succeeded") < count:
                time.sleep(0.5)
            ended = time.monotonic() - begun
        return {"count": count, "submitted_s": round(submitted, 1), "ended_s": round(ended, 1), **answers}

    def _jobs(self, status: str) -> int:
        return self.jobs.list_jobs(dlc.ListJobsRequest(status=status, page_size=1)).body.total_count

    def run_services(self, count: int, spare: int) -> Json:
        """Start services, and ask each."""
        names: list[str] = []

        def create(number: int) -> None:
            if _available() < spare:
                return
            text = json.dumps(_service(f"load_{number}"))
            names.append(self.services.create_service(eas.CreateServiceRequest(body=text)).body.service_name)

        begun = time.monotonic()
        create(0)
        with self._asking(lambda: self.services.describe_service(self.at["region"], "load_0")) as answers:
            with ThreadPoolExecutor(4) as threads:
                list(threads.map(create, range(1, count)))
            while self._running() < len(names):
                time.sleep(0.5)
            running = time.monotonic() - begun
        tokens = {name: self.services.describe_service(self.at["region"], name).body.access_token for name in names}
        took, failed = [], 0

        def ask(name: str) -> None:
            nonlocal failed
            asked = time.monotonic()
            headers = {"Authorization": tokens[name]}
            answer = requests.get(f"{self.at['eas_gateway']}/api/predict/{name}", headers=headers, timeout=60)
            took.append(time.monotonic() - asked)
            failed += answer.status_code != 200

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(ask, names * 2))
        return {
            "count": len(names),
            "running_s": round(running, 1),
            "requests_p99_s": round(p99(took), 3),
            "failed": failed,
            "processes_mb": round(sum(map(_proportional, below(self.process.pid)))),
            **answers,
        }

    def _running(self) -> int:
        listed = self.services.list_services(eas.ListServicesRequest(page_size=1, service_status="Running"))
        return listed.body.total_count

    def end(self) -> Json:
        """End the emulator."""
        pids = below(self.process.pid)
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        took = time.monotonic() - begun
        time.sleep(1)
        return {"end_s": round(took, 1), "left": sum(Path(f"/proc/{pid}").exists() for pid in pids)}

    @contextlib.contextmanager
    def _asking(self, ask: Callable[[], Any]) -> Iterator[Json]:
        """Ask every 50 ms, and fill in what that took."""
        found: Json = {}
        took: list[float] = []
        over = threading.Event()

        def keep_asking() -> None:
            while not over.wait(0.05):
                begun = time.monotonic()
                ask()
                took.append(time.monotonic() - begun)
                self.most = max(self.most, _resident(self.process.pid))

        thread = threading.Thread(target=keep_asking)
        thread.start()
        try:
            yield found
        finally:
            over.set()
            thread.join()
            found |= {"answers_p99_s": round(p99(took), 3), "answers_max_s": round(max(took), 3)}


def _service(name: str) -> Json:
    container = {"image": "registry.example.com/python:3.11", "script": f'python -I -S -c "{SERVER}"', "port": 8000}
    return {"metadata": {"name": name, "instance": 1, "cpu": 1, "memory": 1000}, "containers": [container]}


def below(pid: int) -> set[int]:
    """Return the processes below one."""
    found: set[int] = set()
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, children.read_text().split()):
                found |= {child} | below(child)
    return found


def _proportional(pid: int) -> float:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))
    return 0.0


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def _available() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable"))


def main() -> None:
    """Start an emulator and load it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--pods", type=int, default=40, help="of the quota (default: %(default)s)")
    parser.add_argument("--services", type=int, default=500)
    parser.add_argument("--spare", type=int, default=6000, help="MB to leave to others (default: %(default)s)")
    options = parser.parse_args()
    command = [sys.executable, "-m", "airflow_provider_pai.emulator", "--quota", f"load:pods={options.pods}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            load = Load(process, json.loads(process.stdout.readline()))
            found = {
                "jobs": load.run_jobs(options.jobs),
                "services": load.run_services(options.services, options.spare),
            }
            say({**found, "emulator_mb": round(load.most / 2**20), **load.end()})
        finally:
            process.kill()


if __name__ == "__main__":
    main()
