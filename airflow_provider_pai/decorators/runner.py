"""Runner inside a DLC job: calls the function beside it and leaves its value or error; travels to the job as a file.

Standard library only, and nothing newer than Python 3.8: it runs in the user's image. `arguments.json` and
`pai_function.py` lie beside this file. Every pod calls the function; rank 0 leaves what it returned in
`PAI_RETURN_DIR/value.json`, a pod in which it raised leaves `error-<rank>.json` and fails.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

MAX_TEXT = 20_000
"""Characters that are kept of a message, and of a traceback: the beginning and the end of each."""


def rank() -> int:
    """Return this pod's rank; TFJobs know roles and indices only, and the first of them leads."""
    if "RANK" in os.environ:
        return int(os.environ["RANK"])
    config = json.loads(os.environ.get("TF_CONFIG") or "{}")
    if not config.get("task"):
        return 0
    cluster = config.get("cluster", {})
    roles = sorted(cluster, key=lambda role: (role not in ("chief", "master"), role != "worker", role))
    order = [(role, index) for role in roles for index in range(len(cluster[role]))]
    task = (config["task"]["type"], int(config["task"]["index"]))
    return order.index(task) if task in order else len(order) + task[1]


def call(folder: Path) -> Any:
    """Call the function with its arguments."""
    given = json.loads((folder / "arguments.json").read_text(encoding="utf-8"))
    sys.path.insert(0, str(folder))
    function = getattr(importlib.import_module("pai_function"), given["function"])
    value = function(*given["args"], **given["kwargs"])
    return asyncio.run(value) if inspect.iscoroutine(value) else value


def as_json(value: object) -> str:
    """Return a value as JSON.

    :raises TypeError: naming the value's type.
    """
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"the function returned a {name_of(type(value))}, which is not JSON: {error}") from error


def name_of(kind: type) -> str:
    """Return a type's name, with its module unless that is `builtins`."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def describe(error: BaseException) -> str:
    """Return an error as JSON."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return json.dumps({"type": name_of(type(error)), "message": cut(str(error)), "traceback": cut(text)})


def cut(text: str) -> str:
    """Return the two ends of a long text, with a note of what is left out between them."""
    if len(text) <= MAX_TEXT:
        return text
    kept = MAX_TEXT // 2
    return f"{text[:kept]}\n… {len(text) - 2 * kept} characters are left out here …\n{text[-kept:]}"


def main() -> int:
    """Call the function, leave its value or its error, and return the exit code."""
    number, returned = rank(), Path(os.environ["PAI_RETURN_DIR"])
    failure = returned / f"error-{number}.json"
    if failure.exists():  # of a life of this pod before a restart
        failure.unlink()
    try:
        value = call(Path(__file__).parent)
        text = as_json(value) if number == 0 else ""
    except BaseException as error:  # noqa: BLE001 - sys.exit, too, must reach the task as what it was
        traceback.print_exc()
        failure.write_text(describe(error), encoding="utf-8")
        return 1
    if number == 0:
        (returned / "value.json").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
