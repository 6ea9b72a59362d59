"""Servers of the tests' own, on loopback: how a database or a broker is made, started and found to answer."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from airflow_provider_pai.testing.stack import HOST, free_port

SECONDS = 60.0


class MissingError(Exception):
    """This machine has no program of a server; the message names the package that brings it."""


def program(package, *names):
    """Return where a program is.

    :param package: Debian's, which brings it.
    :param names: in the order in which they are looked for; one with a slash is a pattern below /usr/lib.
    """
    for name in names:
        found = max(Path("/usr/lib").glob(name), default=None) if "/" in name else shutil.which(name)
        if found:
            return str(found)
    raise MissingError(f"this machine has no {names[0]}: apt-get install {package}")


def postgres(folder, port):
    """Return how a server is made and how it is started."""
    initdb = program("postgresql", "initdb", "postgresql/*/bin/initdb")
    server = program("postgresql", "postgres", "postgresql/*/bin/postgres")
    make = [initdb, "-D", f"{folder}/data", "-A", "trust", "-U", "root", "--no-sync"]
    settings = [f"listen_addresses={HOST}", "unix_socket_directories=", "fsync=off", "max_connections=200"]
    return make, [server, "-D", f"{folder}/data", "-p", port, *(word for one in settings for word in ("-c", one))]


def mysql(folder, port):
    """Return how a server is made and how it is started."""
    own = ["--no-defaults", f"--datadir={folder}/data"]
    make = [program("mariadb-server", "mariadb-install-db"), *own, "--auth-root-authentication-method=normal"]
    settings = [f"--socket={folder}/my.sock", "--innodb-flush-log-at-trx-commit=0", f"--bind-address={HOST}"]
    return make, [program("mariadb-server", "mariadbd"), *own, *settings, "--port", port]


def redis(folder, port):
    """Return how a server is started: there is nothing to make."""
    keeps_nothing = ["--save", "", "--appendonly", "no"]
    return ["true"], [
        program("redis-server", "redis-server"),
        *["--dir", folder, "--bind", HOST, "--port", port, *keeps_nothing],
    ]


def start(kind, folder, run):
    """Make a server in a folder, start it, and return its port once it answers.

    :param run: starts a command under a name, as `Stack.run` does; who gave it ends it.
    :raises MissingError: this machine has no such server.
    """
    port = free_port()
    make, command = ([str(word) for word in words] for words in kind(folder, port))
    folder.mkdir(parents=True, exist_ok=True)
    # Databases refuse to be root's; anybody will do.
    nobody = ["runuser", "-u", "nobody", "--"] if os.getuid() == 0 else []
    if nobody:
        shutil.chown(folder, "nobody")
    subprocess.run([*nobody, *make], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    component = run(kind.__name__, [*nobody, *command])
    end = time.monotonic() + SECONDS
    while not answers(port):
        component.check()
        assert time.monotonic() < end, f"{kind.__name__} does not come up\n{component.tail()}"
        time.sleep(0.05)
    return port


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
