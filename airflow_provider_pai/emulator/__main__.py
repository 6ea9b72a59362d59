"""Command `python -m airflow_provider_pai.emulator`: the emulator in the foreground, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import signal
import sys
import threading
from functools import partial
from pathlib import Path

from airflow_provider_pai.emulator import listeners
from airflow_provider_pai.emulator.dlc.quotas import checked_limits
from airflow_provider_pai.emulator.server import Emulator, StartError
from airflow_provider_pai.emulator.world import World

_BANNER = "PAI emulator on {host}. It runs the commands it is sent, as this user, without a sandbox.\n"
_AIRFLOW = "Airflow's connection to it: source {file}\n"
_REMOTE = "Others may reach it: over plain HTTP, and whoever has one of its keys can do here whatever this user can.\n"
_LONGEST_END = 4.5
_CUT_SHORT = "Its end took longer than {seconds} seconds and was cut short; what its jobs left lies in {folder}.\n"


def main(arguments: list[str] | None = None) -> int:
    """Start, print one JSON line of endpoints on stdout, wait for a signal, stop.

    :returns: 0; 2 if it could not start.
    """
    options = parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        stream=sys.stderr,
        format="%(asctime)s %(name)s %(message)s",
    )
    if options.verbose:
        listeners.log.setLevel(logging.DEBUG)
    try:
        world = World.of_facts(options.facts) if options.facts else World()
        world = world.changed(dict(options.world))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    emulator = Emulator(
        options.data,
        host=options.host,
        port=options.port,
        allow_remote=options.allow_remote,
        world=world.to_dict(),
        dwell=options.dwell,
        list_lag=options.list_lag,
        region=options.region,
        quotas=dict(options.quota),
    )
    try:
        emulator.start()
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stderr.write(_BANNER.format(host=options.host) + (_REMOTE if options.allow_remote else ""))
    sys.stderr.write(_AIRFLOW.format(file=_write_connection(emulator)))
    sys.stdout.write(json.dumps(emulator.endpoints.to_dict()) + "\n")
    sys.stdout.flush()
    ended.wait()
    _end_in_time(emulator.data)
    emulator.stop()
    return 0


def _write_connection(emulator: Emulator) -> Path:
    """Write the lines of a shell that lead Airflow here; return the file."""
    file = emulator.data / "airflow.env"
    file.touch(mode=0o600)
    connection = shlex.quote(json.dumps(emulator.endpoints.connection()))
    file.write_text(f"export AIRFLOW_CONN_PAI_DEFAULT={connection}\n")
    return file


def _end_in_time(folder: Path) -> None:
    """End this process soon, whatever it still waits for: guards end the processes of jobs without it."""
    told = _CUT_SHORT.format(seconds=_LONGEST_END, folder=folder)
    # A thread each: nobody may be reading what is told, and then a write does not end either.
    for seconds, do in ((_LONGEST_END, partial(sys.stderr.write, told)), (_LONGEST_END + 0.2, partial(os._exit, 0))):
        timer = threading.Timer(seconds, do)
        timer.daemon = True
        timer.start()


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_pai.emulator", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder for objects and state (default: a temporary one)")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    parser.add_argument(
        "--allow-remote",
        action="store_true",
        help="let --host be an address that others reach: whoever has a key then runs commands here, as you",
    )
    parser.add_argument("--port", type=int, default=0, help="of the APIs; OSS and EAS take the next two (default: any)")
    parser.add_argument("--dwell", type=float, default=0.3, help="seconds in each intermediate status")
    parser.add_argument("--list-lag", type=float, default=0.0, help="seconds by which ListJobs is behind")
    parser.add_argument(
        "--quota",
        type=_quota,
        action="append",
        default=[],
        metavar="ID:LIMIT=N,...",
        help="limit a resource quota of DLC, e.g. quota1:pods=2,gpu=8 (also cpu, memory in GiB); may be repeated",
    )
    parser.add_argument(
        "--world",
        type=_position,
        action="append",
        default=[],
        metavar="SWITCH=POSITION",
        help="turn a switch of what no document tells of the cloud (docs/emulator.md); may be repeated",
    )
    parser.add_argument("--facts", type=Path, help="turn the switches as this file says, e.g. of check --smoke")
    parser.add_argument("--region", default="cn-hangzhou", help="the account's region (default: %(default)s)")
    parser.add_argument("--verbose", action="store_true", help="log each request to stderr")
    return parser


def _position(text: str) -> tuple[str, str | int]:
    switch, _, position = text.partition("=")
    return switch, int(position) if position.isdecimal() else position


def _quota(text: str) -> tuple[str, dict[str, float]]:
    quota, _, limits = text.partition(":")
    pairs = (limit.partition("=") for limit in limits.split(","))
    return quota, checked_limits(quota, {name: float(number) for name, _, number in pairs})


if __name__ == "__main__":
    sys.exit(main())
