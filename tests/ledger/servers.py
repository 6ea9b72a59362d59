"""Database servers of the tests' own, on loopback; where their programs are missing the tests are skipped."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

SECONDS = 60.0


def postgres(folder):
    """Return how a server is made and started, without its port."""
    program = Path(
        shutil.which("postgres") or max(Path("/usr/lib/postgresql").glob("*/bin/postgres"), default="/missing")
    )
    make = [program.with_name("initdb"), "-D", folder / "data", "-A", "trust", "-U", "root", "--no-sync"]
    settings = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-p"]
    return make, [program, "-D", folder / "data", "-k", folder, *settings]


def mysql(folder):
    """Return how a server is made and started, without its port."""
    own = ["--no-defaults", f"--datadir={folder}/data"]
    make = [shutil.which("mariadb-install-db") or "/missing", *own, "--auth-root-authentication-method=normal"]
    settings = [
        f"--socket={folder}/my.sock",
        "--innodb-flush-log-at-trx-commit=0",
        "--bind-address=127.0.0.1",
        "--port",
    ]
    return make, [shutil.which("mariadbd") or "/missing", *own, *settings]


@contextmanager
def running(kind, folder, user):
    """Run a server and yield its port; root runs it as another user, as both kinds ask."""
    make, start = kind(folder)
    if not all(Path(program).exists() for program in (make[0], start[0])):
        pytest.skip(f"this machine has no programs of a server ({kind.__name__})")
    whose = {}
    if os.getuid() == 0:
        whose = {"user": user, "group": pwd.getpwnam(user).pw_gid}
        shutil.chown(folder, user)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **whose}
    subprocess.run([str(part) for part in make], check=True, **quiet)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([*map(str, start), str(port)], **quiet)
    try:
        until_open(port)
        yield port
    finally:
        server.terminate()
        server.wait(SECONDS)


def until_open(port):
    end = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < end, "the server does not come up"
            time.sleep(0.05)
        else:
            return
