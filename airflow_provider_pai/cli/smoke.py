"""Smoke round of `airflow pai check`: asks the person who pays, plays the round, writes what it has learned."""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_provider_pai import __version__
from airflow_provider_pai.cli.person import agreed, say
from airflow_provider_pai.hooks.pai import PaiConnectionHook
from airflow_provider_pai.inputs import parse_uri, required
from airflow_provider_pai.smoke.probes import PROBES
from airflow_provider_pai.smoke.round import Choice, Round, clear, run


def smoke(arguments: argparse.Namespace) -> int:
    """Play a smoke round.

    :returns: 0; 1 if something broke off or is left; 2 if it was not wanted; 130 if it was interrupted.
    """
    hook = PaiConnectionHook(arguments.conn_id)
    one = Round(hook, _choice(arguments, hook.connection.state_uri), say)
    say(_plan(one))
    if not agreed("the round", yes=arguments.yes):
        say("Nothing was made.")
        return 2
    interrupted = False
    with _by_itself():
        try:
            clear(one, PROBES)
            run(one, PROBES)
        except KeyboardInterrupt:
            interrupted = True
    one.facts.write(Path(arguments.facts), _about(hook))
    for line in one.facts.lines():
        print(line)  # noqa: T201 - that is what a command does
    return _summed_up(one, arguments.facts, interrupted=interrupted)


def _summed_up(one: Round, path: str, *, interrupted: bool) -> int:
    """Say what the round came to, what is left first, and return how the command ends."""
    for what in one.left:
        say(f"left: {what}; the next round clears it, or you in the console")
    for text in one.failed:
        say(text)
    if interrupted:
        say("interrupted; " + ("see above for what is left" if one.left else "all that was made is taken away"))
    say(f"{len(one.facts.facts)} facts are in {path}; the emulator takes them: --facts {path}")
    return 130 if interrupted else int(bool(one.failed or one.left))


def _choice(arguments: argparse.Namespace, state_uri: str | None) -> Choice:
    bucket = required(
        "--bucket", arguments.bucket or state_uri, "oss://bucket or a prefix in it, for the round's objects"
    )
    home = parse_uri("--bucket", bucket)
    image = required("--image", arguments.image, "the address of an image with Python 3 and a shell")
    given: dict[str, Any] = {"instance_type": arguments.instance_type, "service_type": arguments.service_type}
    return Choice(home=home, image=image, **{name: value for name, value in given.items() if value})


def _plan(one: Round) -> str:
    where = one.hook.connection
    lines = [f"The round makes, in {where.region}, workspace {where.workspace_id}, with the image {one.choice.image}:"]
    lines += [f"  {probe.title}: {probe.needs.format(choice=one.choice)}" for probe in PROBES]
    return "\n".join(
        [*lines, "All of it costs money, and all of it is taken away at the end: a quarter of an hour or so."]
    )


@contextlib.contextmanager
def _by_itself() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that what was made is taken away; waits say nothing meanwhile."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        signal.signal(signal.SIGTERM, before)


def _about(hook: PaiConnectionHook) -> dict[str, str]:
    return {
        "seen_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "region": hook.connection.region,
        "provider": __version__,
    }
