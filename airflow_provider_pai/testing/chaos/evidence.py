"""Evidence of an evening: what is read of the place when its nights are over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_provider_pai.artifact import MANIFEST_NAME, Manifest
from airflow_provider_pai.sensitive import secrets_in
from airflow_provider_pai.testing.chaos.nights import Lived
from airflow_provider_pai.testing.chaos.place import Place
from airflow_provider_pai.testing.chaos.rules import Evening

_SHORTEST = 6


def evidence(place: Place, nights: list[Lived], refused: Path) -> Evening:
    """Return all that was seen."""
    return Evening(
        source=place.given.dag_file.read_text(),
        tasks=place.tasks,
        rendered=list(place.rendered()),
        author=place.author,
        nights=nights,
        failed=place.people.failed,
        torn=list(_torn(place)),
        seen=sorted(set(_seen(place))),
        refused=refused.read_text().split() if refused.exists() else [],
    )


def _torn(place: Place) -> Iterator[str]:
    """Yield each manifest that its files do not fit."""
    objects = place.account.objects()
    for uri in objects:
        folder, _, name = uri.rpartition("/")
        if name != MANIFEST_NAME:
            continue
        try:
            manifest = Manifest.from_bytes(place.account.read(uri))
        except ValueError as error:
            yield f"{uri}: {error}"
            continue
        for file in manifest.files:
            found = objects.get(f"{folder}/{file.key}")
            if found is None or found.size != file.size:
                yield f"{uri} promises {file.key} of {file.size} bytes; there are {found.size if found else 'none'}"


def _secrets(place: Place) -> Iterator[tuple[str, str]]:
    """Yield each secret of the evening, by what it is."""
    yield "the account's secret", place.stack.pai["access_key_secret"]
    for token in place.account.tokens():
        yield "a service's token", token
    for made in place.account.made():
        for name, secret in secrets_in(made.asked):
            yield name, secret
    for name, value in place.given.env.items():
        found = [secret for _, secret in secrets_in(value, name)]
        if name.startswith("AIRFLOW_CONN_"):
            found += [secret for _, secret in secrets_in(_as_json(value))]
        yield from ((name, secret) for secret in found)


def _as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _seen(place: Place) -> Iterator[tuple[str, str, str]]:
    """Yield each secret that stands where people read: its name, where that is, the task."""
    secrets = {(name, secret) for name, secret in _secrets(place) if len(secret) >= _SHORTEST}
    for where, task, text in _read_by_people(place):
        yield from ((name, where, task) for name, secret in secrets if secret in text)


def _read_by_people(place: Place) -> Iterator[tuple[str, str, str]]:
    for path in (place.stack.home / "logs").rglob("*.log"):
        task = next((part[8:] for part in path.parts if part.startswith("task_id=")), "")
        if task or "scheduler" not in path.parts:
            yield "a log", task, path.read_text(errors="replace")
    yield from (("an XCom", task, value) for task, value in place.rows("xcom", "value"))
    rendered = place.rows("rendered_task_instance_fields", "rendered_fields")
    yield from (("rendered fields", task, value) for task, value in rendered)
