"""`airflow pai datasets …`: pinned inputs, and who uses them."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime

from airflow_provider_pai.cli.jobs import since_when
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.home import pins_folder
from airflow_provider_pai.hooks.oss.pins import Pin, pins_below
from airflow_provider_pai.inputs import parse_uri


def prune(args: argparse.Namespace) -> None:
    """Print what is pinned and used by nobody, one a line, and delete it if asked to; tell why the rest stays."""
    oss, since = OssHook(args.conn_id), since_when(args.unused_for, "--unused-for")
    pins = pins_folder(oss.connection, parse_uri("--output", args.output) if args.output else None)
    if pins is None:
        raise SystemExit(f"name the tasks' output, --output oss://…: connection {args.conn_id} has no state_uri")
    unused = 0
    for pin in (pinned := pins_below(oss, pins)):
        if user := pin.user(oss, since):
            print(f"{pin.folder} stays: {user}", file=sys.stderr)  # noqa: T201 - that is what a command does
            continue
        unused += 1
        print(f"{_told(oss, pin)}{_deleted(oss, pin, since) if args.delete else ''}")  # noqa: T201
    print(f"{unused} of {len(pinned)} pinned inputs below {pins} are unused", file=sys.stderr)  # noqa: T201


def _told(oss: OssHook, pin: Pin) -> str:
    _, size, files = oss.digest(pin.data)
    return f"{pin.folder}: {files} objects, {size} bytes"


def _deleted(oss: OssHook, pin: Pin, since: datetime) -> str:
    return "; deleted" if pin.delete(oss, since) else "; NOT deleted: a job gets it at this moment"
