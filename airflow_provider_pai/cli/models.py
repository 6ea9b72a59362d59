"""`airflow pai models …`: models that tasks have trained."""

from __future__ import annotations

import argparse
import json
import logging
import sys

from airflow_provider_pai.cli.check import nothing_else_printed
from airflow_provider_pai.cli.person import agreed, say
from airflow_provider_pai.cli.reproduce import Reproduction, above
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.inputs import parse_uri
from airflow_provider_pai.ledger import Event, EventKind
from airflow_provider_pai.ledger.task import TaskLedger
from airflow_provider_pai.manifests import read_manifest
from airflow_provider_pai.uri import OssUri


def reproduce(args: argparse.Namespace) -> None:
    """Train a model again and say what came of it; exit with 1 where it is another, with 2 where nothing was made."""
    hook = DlcHook(args.conn_id)
    with nothing_else_printed():
        oss, ledger = hook.sibling(OssHook), TaskLedger(hook, args.ledger_conn_id, logging.getLogger(__name__))
        source = _source(args, ledger)
        one = Reproduction(hook, read_manifest(oss, str(source)), source, _home(args.output, source, hook))
        body = one.body()
        hook.check_body(body)
    version = one.manifest.artifact.version
    for line in (*one.notes, *one.unlike):
        say(line)
    if one.unlike and not args.anyway:
        raise SystemExit(f"NOT TRAINED: {version} can't be made of what it was made of; --anyway takes what is there")
    nodes = ", ".join(f"{count} x {kind}" for kind, count in one.manifest.artifact.instances.items())
    say(f"{version} is trained again on {nodes}, into {one.output}: that costs money")
    if not agreed("the job", yes=args.yes):
        say("Nothing was made.")
        sys.exit(2)
    with nothing_else_printed():
        job_id = hook.submit(body)
        say(f"DLC job {job_id}: {hook.console_url(job_id)}")
        outcome = one.outcome(one.end_of(job_id))
        made = one.manifest.artifact
        ledger.record(Event.about(made, EventKind.REPRODUCED, f"reproduced/{outcome.job_id}", outcome.facts), source)
    print(json.dumps(outcome.facts, indent=2) if args.json else outcome.text)  # noqa: T201 - that is what a command does
    sys.exit(1 if outcome.verdict == "DIFFERENT" else 0)


def _source(args: argparse.Namespace, ledger: TaskLedger) -> OssUri:
    """Return where a version lies.

    :raises PaiConfigError: nothing tells.
    """
    uri = args.uri or ledger.artifact_uri(args.version)
    if uri is None:
        raise PaiConfigError(
            "VERSION", args.version, "one that the ledger knows; of another name the place: --uri oss://…"
        )
    return parse_uri("--uri", uri).folder


def _home(output: str | None, source: OssUri, hook: DlcHook) -> OssUri:
    """Return where a model that is trained again lies with what its job writes: by default beside the versions."""
    if output:
        return parse_uri("--output", output).folder
    began = hook.service_clock.utc().strftime("%Y%m%dT%H%M%SZ")
    version = source.key.rstrip("/").rpartition("/")[2]
    return above(source).join("_reproduced", version, began).folder
