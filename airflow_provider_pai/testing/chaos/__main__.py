"""Command `python -m airflow_provider_pai.testing.chaos`: a DAG file through bad nights on this machine."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Before anything imports Airflow: its home is one of our own.
_HOME = tempfile.mkdtemp(prefix="chaos-")
os.environ["AIRFLOW_HOME"] = _HOME
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

import httpx  # noqa: E402

from airflow_provider_pai.testing.airflow_api import AirflowApiError  # noqa: E402
from airflow_provider_pai.testing.chaos.evening import ChaosError, play  # noqa: E402
from airflow_provider_pai.testing.chaos.given import NIGHTS, Given  # noqa: E402
from airflow_provider_pai.testing.processes import ComponentError, end_on_signals  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """Play and print.

    :returns: 0 clean, 1 with findings, 2 if it could not be played.
    """
    options = parser().parse_args(arguments)
    end_on_signals()
    began = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - began:5.0f} s] {line}\n")

    given = Given(
        dag_file=options.dag_file,
        dag_id=options.dag or "",
        data=dict(options.data),
        conf=options.conf or ({},),
        env=dict(options.env),
        asks=options.request,
        event=options.event,
        nights=options.nights,
        patience=options.patience,
    )
    try:
        report = play(given, options.folder or Path(_HOME) / "night", say)
    except (ChaosError, ComponentError, AirflowApiError, httpx.HTTPError, TimeoutError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    if options.json == "-":
        sys.stdout.write(f"{report.to_json()}\n")
        return int(not report.is_clean)
    if options.json:
        Path(options.json).write_text(f"{report.to_json()}\n")
    sys.stdout.write(f"{report}\n")
    return int(not report.is_clean)


def parser() -> argparse.ArgumentParser:
    """Return what the command takes."""
    command = argparse.ArgumentParser(prog="python -m airflow_provider_pai.testing.chaos", description=__doc__)
    command.add_argument("dag_file", type=Path, help="the DAG file; it is run as it is, with its pauses made short")
    command.add_argument("--dag", help="the DAG, where the file has several")
    command.add_argument(
        "--data",
        type=_data,
        action="append",
        default=[],
        metavar="DIR=oss://…",
        help="what lies on OSS; may be repeated",
    )
    command.add_argument(
        "--conf", type=_object, action="append", metavar="JSON", help="params of the first run, of the next, …"
    )
    command.add_argument(
        "--env",
        type=_pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="environment of Airflow; may be repeated",
    )
    command.add_argument("--request", type=_object, metavar="JSON", help='what people ask: {"method", "path", "json"}')
    command.add_argument("--event", type=_object, default={}, metavar="JSON", help="extra of the asset event of a run")
    command.add_argument("--nights", type=_names, default=tuple(NIGHTS), help=f"of {', '.join(NIGHTS)}; by default all")
    command.add_argument("--patience", type=float, default=240.0, help="seconds without a change until a run hangs")
    command.add_argument("--folder", type=Path, help="where Airflow, its logs and the account are kept")
    command.add_argument("--json", metavar="FILE", help="write the report as JSON; - for standard output alone")
    return command


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _data(text: str) -> tuple[Path, str]:
    folder, uri = _pair(text)
    if not Path(folder).exists() or not uri.startswith("oss://"):
        raise argparse.ArgumentTypeError(f"{text!r} is no file or folder = oss:// address")
    return Path(folder), uri


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON object")
    return value


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if unknown := set(names) - set(NIGHTS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} is none of {', '.join(NIGHTS)}")
    return tuple(name for name in NIGHTS if name in names)


if __name__ == "__main__":
    sys.exit(main())
