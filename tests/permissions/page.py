"""Page docs/permissions.md: its policies, written and read."""

from __future__ import annotations

import json
import re
from collections.abc import Set
from itertools import groupby
from pathlib import Path
from textwrap import wrap

from tests.permissions.scene import Asked, policy

PAGE = Path(__file__).parents[2] / "docs" / "permissions.md"
BEGIN, END = "<!-- written by python -m tests.permissions -->", "<!-- end -->"
BUCKET = "my-bucket"


def page(text: str, asked: Asked) -> str:
    """Return docs/permissions.md with its policies written anew."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    every = {action for actions in asked.values() for action in actions}
    alike: dict[tuple[tuple[str, bool], ...], list[str]] = {}
    for name, actions in sorted(asked.items(), key=lambda item: item[0].lower()):
        alike.setdefault(tuple(sorted(actions.items())), []).append(name)
    sections = [_section(names, dict(actions)) for actions, names in alike.items()]
    policies = f"## One policy for all\n\n{_block(every)}\n## One by one\n\n" + "\n".join(sections)
    return f"{head}{BEGIN}\n\n{policies}\n{END}{tail}"


def _section(names: list[str], actions: dict[str, bool]) -> str:
    optional = [f"`{action}`" for action, goes_on in sorted(actions.items()) if goes_on]
    without = f"\nGoes on without, and says so: {', '.join(optional)}.\n" if optional else ""
    return f"### {', '.join(f'`{name}`' for name in names)}\n\n{_block(set(actions))}{without}"


def _block(actions: Set[str]) -> str:
    """Return a policy as JSON that is read by people, too: one line a service."""
    lines = []
    for statement in policy(actions, BUCKET)["Statement"]:
        services = groupby(statement["Action"], key=lambda action: action.partition(":")[0])
        texts = [", ".join(map(json.dumps, each)) for _, each in services]
        of = ",\n      ".join("\n      ".join(wrap(text, 112)) for text in texts)
        resource = json.dumps(statement["Resource"])
        lines.append(f'    {{"Effect": "Allow", "Resource": {resource}, "Action": [\n      {of}]}}')
    return '```json\n{"Version": "1", "Statement": [\n' + ",\n".join(lines) + "]}\n```\n"


def documented(text: str) -> Asked:
    """Read the policies of the page."""
    found: Asked = {}
    _, _, part = text.partition(BEGIN)[2].partition(END)[0].partition("## One by one")
    for section in part.split("\n### ")[1:]:
        title, _, rest = section.partition("\n")
        block, _, without = rest.partition("```json\n")[2].partition("```")
        actions = {action for each in json.loads(block)["Statement"] for action in each["Action"]}
        optional = set(re.findall(r"`([a-z]+:\w+)`", without))
        found |= {name: {action: action in optional for action in actions} for name in re.findall(r"`([^`]+)`", title)}
    return found
