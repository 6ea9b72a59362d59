"""Guard of a process's connections: this machine, and no other."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from airflow_provider_pai.testing.chaos.loopback import is_here

TRY = """
import socket, sys
from airflow_provider_pai.testing.chaos.loopback import stay
stay(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0))
socket.create_connection(("localhost", listener.getsockname()[1])).close()
for host in ("192.0.2.1", "oss-cn-hangzhou.aliyuncs.com"):
    try:
        socket.create_connection((host, 80), timeout=1)
    except ConnectionRefusedError as error:
        print(error)
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", b"127.0.0.1", "localhost", "", None])
def test_this_machine(host):
    assert is_here(host)
    assert is_here(socket.gethostname())


@pytest.mark.parametrize("host", ["192.0.2.1", "10.0.0.1", "localhost.example.com", "pai.cn-hangzhou.aliyuncs.com"])
def test_another_machine(host):
    assert not is_here(host)


def test_whoever_is_guarded_speaks_to_this_machine_alone(tmp_path):
    refused = tmp_path / "refused"
    told = subprocess.run([sys.executable, "-c", TRY, str(refused)], check=True, capture_output=True, text=True)
    assert told.stdout.count("the emulator alone") == 2
    assert refused.read_text().split() == ["192.0.2.1", "oss-cn-hangzhou.aliyuncs.com"]
