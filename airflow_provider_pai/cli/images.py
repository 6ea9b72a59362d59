"""`airflow pai images`: PAI's official images, as lines to paste."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from typing import NamedTuple, Self

from airflow_provider_pai.cli.check import nothing_else_printed
from airflow_provider_pai.cli.person import say
from airflow_provider_pai.hooks.aiworkspace import OFFICIAL, AIWorkspaceHook
from airflow_provider_pai.remote import Json

_FRAMEWORK, _SUPPORTED = "system.framework", "system.supported."


class Image(NamedTuple):
    """An image, by its labels; what they don't tell is empty."""

    name: str
    uri: str
    image_id: str
    chip: str
    framework: str
    python: str
    services: tuple[str, ...]
    created: str

    @classmethod
    def of(cls, item: Json) -> Self:
        """Read an item of ListImages.

        A framework stands under `system.framework`, as the API's page has it, or under `system.framework.<name>`, as
        PAI's own Python SDK asks for it.
        """
        labels = {label["Key"]: label.get("Value") or "" for label in item.get("Labels") or []}
        named = [f"{key.removeprefix(f'{_FRAMEWORK}.')} {labels[key]}" for key in labels if f"{_FRAMEWORK}." in key]
        supported = (key.removeprefix(_SUPPORTED) for key in labels if key.startswith(_SUPPORTED))
        return cls(
            name=item["Name"],
            uri=item["ImageUri"],
            image_id=item["ImageId"],
            chip=labels.get("system.chipType", ""),
            framework=labels.get(_FRAMEWORK) or ", ".join(named),
            python=labels.get("system.pythonVersion", ""),
            services=tuple(name for name in supported if labels[_SUPPORTED + name] == "true"),
            created=item.get("GmtCreateTime") or "",
        )

    @property
    def line(self) -> str:
        """Return the argument of an operator, with what is known of the image behind it."""
        python, services = self.python and f"Python {self.python}", " ".join(self.services)
        facts = ", ".join(filter(None, (self.chip, self.framework, python, services, self.created[:10])))
        return f"image={json.dumps(self.uri)},  # {facts}"


def images(args: argparse.Namespace) -> None:
    """Print the official images, the newest first."""
    with nothing_else_printed():
        listed = AIWorkspaceHook(args.conn_id).list_images(labels={OFFICIAL: "true"})
        found = youngest(map(Image.of, listed), args.framework or "")
    as_json = json.dumps([image._asdict() for image in found], indent=2)
    print(as_json if args.json else "\n".join(image.line for image in found))  # noqa: T201 - that is what a command does
    if not found:
        say("None fits; without --framework all are listed")


def youngest(found: Iterable[Image], word: str) -> list[Image]:
    """Return the images whose framework or name holds a word."""
    fitting = (image for image in found if word.casefold() in f"{image.framework}\n{image.name}".casefold())
    return sorted(fitting, key=lambda image: image.created, reverse=True)
