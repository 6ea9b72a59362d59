"""Start, end, restart and crash of the emulator, in this process and as a command."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import oss2
import pytest
import requests
from alibabacloud_pai_dlc20201203 import models as dlc
from alibabacloud_pai_dlc20201203.client import Client as DlcClient
from alibabacloud_tea_openapi.client import Client as OpenApiClient
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config, OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.emulator.server import StartError
from tests.conftest import oss_bucket, sdk_config
from tests.emulator.pai_sdk import alive, job_request, until

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "airflow_provider_pai.emulator"]


@contextlib.contextmanager
def command(*arguments: str, limit: int | None = None) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run the emulator as a command and yield it with its endpoints.

    :param limit: bytes that a file may have: more can't be written, as on a full disk.
    """

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=limited,  # noqa: PLW1509
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def client_of(endpoints: dict[str, str], name: str) -> oss2.Bucket:
    auth = oss2.AuthV4(endpoints["access_key_id"], endpoints["access_key_secret"])
    return oss2.Bucket(auth, endpoints["oss_endpoint"], name, region=endpoints["region"])


def call(pai: Emulator, action: str, version: str, method: str, path: str, body: Any = None) -> Any:
    """Make a signed call that no SDK method makes."""
    params = Params(
        action=action,
        version=version,
        protocol="HTTP",
        pathname=path,
        method=method,
        auth_type="AK",
        style="ROA",
        req_body_type="json",
        body_type="json",
    )
    return OpenApiClient(sdk_config(pai)).call_api(params, OpenApiRequest(body=body), RuntimeOptions())


class TestInProcess:
    def test_many_at_once_and_nothing_left(self, tmp_path: Path) -> None:
        before = set(threading.enumerate())
        emulators = [Emulator(tmp_path / str(number), dwell=0.01).start() for number in range(3)]
        for number, emulator in enumerate(emulators):
            bucket = oss_bucket(emulator, "shared-name")
            bucket.create_bucket()
            bucket.put_object("k", str(number))
        for number, emulator in enumerate(emulators):
            assert oss_bucket(emulator, "shared-name").get_object("k").read() == str(number).encode()
        for emulator in emulators:
            emulator.stop()
            emulator.stop()
        assert set(threading.enumerate()) <= before

    def test_a_temporary_folder_goes(self) -> None:
        with Emulator() as emulator:
            assert emulator.data.is_dir()
        assert not emulator.data.exists()

    def test_state_survives(self, tmp_path: Path) -> None:
        with Emulator(tmp_path) as emulator:
            bucket = oss_bucket(emulator, "kept")
            bucket.create_bucket()
            bucket.put_object("a", b"1", headers={"x-oss-meta-a": "1"})
            bucket.put_object("a/", b"2")
            upload = bucket.init_multipart_upload("b").upload_id
            part = bucket.upload_part("b", upload, 1, b"3")
            key = emulator.endpoints.access_key_id
        with Emulator(tmp_path) as emulator:
            assert emulator.endpoints.access_key_id == key
            bucket = oss_bucket(emulator, "kept")
            assert bucket.head_object("a").headers["x-oss-meta-a"] == "1"
            assert bucket.get_object("a/").read() == b"2"
            bucket.complete_multipart_upload("b", upload, [oss2.models.PartInfo(1, part.etag)])
            assert bucket.get_object("b").read() == b"3"

    def test_one_folder_has_one_emulator(self, tmp_path: Path) -> None:
        with Emulator(tmp_path), pytest.raises(StartError, match=f"process {os.getpid()}"):
            Emulator(tmp_path).start()
        with Emulator(tmp_path):
            pass

    def test_a_used_port(self, tmp_path: Path) -> None:
        before = set(threading.enumerate())
        with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(StartError, match="in use"):
            Emulator(tmp_path, port=taken.getsockname()[1]).start()
        with pytest.raises(StartError, match="70000"):
            Emulator(tmp_path, port=70000).start()
        assert set(threading.enumerate()) <= before

    def test_a_folder_that_can_not_be_used(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StartError, match="can't be written"):
            Emulator(tmp_path / "file").start()
        (tmp_path / "state.sqlite").write_text("not a database" * 100)
        with pytest.raises(StartError, match="can't be used"):
            Emulator(tmp_path).start()

    def test_stop_does_not_wait_for_idle_clients(self) -> None:
        emulator = Emulator().start()
        session = requests.Session()
        session.get(f"{emulator.endpoints.endpoint_url}/_emulator/health", timeout=10).raise_for_status()
        begun = time.perf_counter()
        emulator.stop()
        assert time.perf_counter() - begun < 1


class TestWire:
    def test_unknown_path(self, pai: Emulator) -> None:
        for method, path in (("GET", "/api/v9/nothing"), ("PATCH", "/api/v1/jobs"), ("GET", "/api/v1/jobs/")):
            response = requests.request(method, pai.endpoints.endpoint_url + path, timeout=10)
            assert (response.status_code, response.json()["Code"]) == (404, "InvalidAction.NotFound")

    def test_unknown_action_and_version(self, pai: Emulator) -> None:
        for action, version, code in (
            ("CreateNothing", "2020-12-03", "InvalidAction.NotFound"),
            ("CreateJob", "2019-01-01", "InvalidVersion"),
        ):
            with pytest.raises(ClientException) as error:
                call(pai, action, version, "POST", "/api/v1/jobs", {})
            assert error.value.code == code

    def test_unknown_fields(self, pai: Emulator) -> None:
        for body, path in (
            ({"DisplayName": "a", "Nonsense": 1}, "Nonsense"),
            ({"JobSpecs": [{"Type": "Worker"}, {"Gpu": 1}]}, "JobSpecs[1].Gpu"),
            ({"Settings": {"Tags": {"free": "text"}, "Tag": {}}}, "Settings.Tag"),
        ):
            with pytest.raises(ClientException) as error:
                call(pai, "CreateJob", "2020-12-03", "POST", "/api/v1/jobs", body)
            assert error.value.code == "InvalidParameter"
            assert f"no field {path}" in error.value.message
        with pytest.raises(ClientException) as error:
            call(pai, "CreateJob", "2020-12-03", "POST", "/api/v1/jobs", {"Settings": "text"})
        assert error.value.code == "InvalidParameter"

    def test_numbers(self, pai: Emulator) -> None:
        with pytest.raises(ClientException, match="PageSize"):
            DlcClient(sdk_config(pai)).list_jobs(dlc.ListJobsRequest(page_size="many"))

    def test_health(self, pai: Emulator) -> None:
        health = requests.get(f"{pai.endpoints.endpoint_url}/_emulator/health", timeout=10).json()
        assert f"http://{health['endpoints']['oss']}" == pai.endpoints.oss_endpoint


class TestCommand:
    def test_one_line_and_a_clean_end(self, tmp_path: Path) -> None:
        with command("--port", "0", "--data", str(tmp_path)) as (process, endpoints):
            assert set(endpoints) == {
                "endpoint_url",
                "oss_endpoint",
                "eas_gateway",
                "access_key_id",
                "access_key_secret",
                "region",
                "workspace_id",
                "console_url",
            }
            client_of(endpoints, "some-bucket").create_bucket()
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=10)
            assert (process.returncode, out) == (0, "")
            assert err.splitlines() == [
                "PAI emulator on 127.0.0.1. It runs the commands it is sent, as this user, without a sandbox.",
                f"Airflow's connection to it: source {tmp_path / 'airflow.env'}",
            ]

    def test_a_shell_reads_airflows_connection_which_stays_the_same_where_port_and_folder_do(
        self, tmp_path: Path
    ) -> None:
        read = f'. {tmp_path}/airflow.env; echo "$AIRFLOW_CONN_PAI_DEFAULT"'
        first, connections = three_free_ports(), []
        for _ in range(2):
            with command("--port", str(first), "--data", str(tmp_path)) as (_, endpoints):
                told = subprocess.run(["sh", "-c", read], capture_output=True, text=True, check=True).stdout
                connections.append(json.loads(told))
        assert endpoints["oss_endpoint"] == f"http://127.0.0.1:{first + 1}"
        assert connections[0] == connections[1]
        assert connections[0]["extra"].items() < endpoints.items()
        assert connections[0]["password"] == endpoints["access_key_secret"]

    def test_an_address_that_others_reach_is_said_to_be_one(self, tmp_path: Path) -> None:
        with command("--host", "0.0.0.0", "--allow-remote", "--data", str(tmp_path)) as (process, _):
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=30)
            assert "whoever has one of its keys" in err.splitlines()[1]
        refused = subprocess.run(
            [*COMMAND, "--host", "0.0.0.0"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "--allow-remote" in refused.stderr

    def test_it_ends_whatever_its_jobs_do(self, tmp_path: Path) -> None:
        """A full disk, an upload under way, and a job of many processes that write on and heed no SIGTERM."""
        stubborn = "trap '' TERM; for i in $(seq 100); do (trap '' TERM; sleep 600) & done; yes; sleep 600"
        with command("--data", str(tmp_path), "--dwell", "0.01", limit=400_000) as (process, endpoints):
            upload = begin_upload(client_of(endpoints, "no-bucket"), "model")
            config = Config(
                access_key_id=endpoints["access_key_id"],
                access_key_secret=endpoints["access_key_secret"],
                endpoint=urlsplit(endpoints["endpoint_url"]).netloc,
                protocol="http",
                region_id="cn-hangzhou",
            )
            job_id = DlcClient(config).create_job(job_request(stubborn)).body.job_id
            until(lambda: sizes(tmp_path / "dlc" / job_id / "logs"), lambda found: 400_000 in found)
            pids = until(lambda: below(process.pid), lambda found: len(found) > 100)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            assert process.returncode == 0
            until(lambda: [pid for pid in pids if alive(pid)], lambda left: not left)
            upload.close()

    def test_it_ends_though_its_end_does_not(self) -> None:
        script = (
            "import sys, threading, airflow_provider_pai.emulator.__main__ as command\n"
            "command._LONGEST_END = 0.3\n"
            "command.Emulator.stop = lambda self: threading.Event().wait()\n"
            "sys.exit(command.main([]))"
        )
        with subprocess.Popen(
            [sys.executable, "-c", script], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 0
        left = Path(err.splitlines()[-1].rpartition("lies in ")[2].rstrip("."))
        assert left.is_dir()
        shutil.rmtree(left)

    def test_verbose(self, tmp_path: Path) -> None:
        with command("--verbose", "--data", str(tmp_path)) as (process, endpoints):
            client_of(endpoints, "some-bucket").create_bucket()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
            assert (process.returncode, out) == (0, "")
            assert "oss PUT /some-bucket/ -> 200" in err

    def test_what_prevents_a_start_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with socket.create_server(("127.0.0.1", 0)) as taken, Emulator(tmp_path / "used"):
            for arguments, reason in (
                (["--port", str(taken.getsockname()[1])], "in use"),
                (["--data", str(tmp_path / "file")], "can't be written"),
                (["--data", str(tmp_path / "used")], "Another emulator"),
            ):
                ended = subprocess.run(
                    [*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
                )
                assert (ended.returncode, ended.stdout) == (2, "")
                assert len(ended.stderr.splitlines()) == 1
                assert reason in ended.stderr

    def test_killed_in_the_middle_of_an_upload(self, tmp_path: Path) -> None:
        with command("--data", str(tmp_path)) as (process, endpoints):
            bucket = client_of(endpoints, "some-bucket")
            bucket.create_bucket()
            bucket.put_object("model", b"old", headers={"x-oss-meta-v": "1"})
            uploads = [begin_upload(bucket, key) for key in ("model", "new")]
            staging = tmp_path / "oss/.pai-emulator/staging"
            deadline = time.monotonic() + 10
            while sum(file.stat().st_size for file in staging.iterdir()) < 2 << 20:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.kill()
            process.wait()
            for upload in uploads:
                upload.close()
        with command("--data", str(tmp_path)) as (_, endpoints):
            bucket = client_of(endpoints, "some-bucket")
            assert [each.key for each in oss2.ObjectIterator(bucket)] == ["model"]
            got = bucket.get_object("model")
            assert (got.read(), got.headers["x-oss-meta-v"]) == (b"old", "1")
            assert list(staging.iterdir()) == []

    def test_starts_without_the_sdks(self) -> None:
        script = (
            "import sys, airflow_provider_pai.emulator.server\n"
            "print([name for name in sys.modules if name.startswith(('alibabacloud', 'oss2', 'airflow.'))])"
        )
        ended = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        )
        assert ended.stdout.strip() == "[]"


def three_free_ports() -> int:
    """Return the first of three ports in a row that nobody has."""
    while True:
        with contextlib.ExitStack() as held, contextlib.suppress(OSError, OverflowError):
            first: int = held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            for port in (first + 1, first + 2):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


def sizes(folder: Path) -> list[int]:
    return [file.stat().st_size for file in folder.glob("*.log")]


def below(pid: int) -> set[int]:
    """Return the processes below one."""
    found = set()
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, children.read_text().split()):
                found |= {child} | below(child)
    return found


def begin_upload(bucket: oss2.Bucket, key: str) -> http.client.HTTPConnection:
    """Send the first half of an object."""
    url = urlsplit(bucket.sign_url("PUT", key, 60))
    connection = http.client.HTTPConnection(url.netloc, timeout=10)
    connection.putrequest("PUT", f"{url.path}?{url.query}")
    connection.putheader("Content-Length", str(8 << 20))
    connection.endheaders()
    connection.send(b"x" * (4 << 20))
    return connection
