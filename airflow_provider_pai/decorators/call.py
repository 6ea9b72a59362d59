"""Call of a Python function as files for a DLC job: source, arguments, runner; refuses what could not run there."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import resources
from typing import Any

from airflow_provider_pai.exceptions import PaiConfigError

FIELD = "python_callable"


# What Airflow itself evaluates when it parses the DAG file; Airflow's other decorators leave these out alike.
_TASK_DECORATORS = ("task.pai_dlc", "setup", "teardown", "task.skip_if", "task.run_if")


def files(function: Callable[..., Any], args: Collection[Any], kwargs: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of a call: the runner, the function's source, its arguments.

    :raises PaiConfigError: the function needs more than itself and its arguments, or an argument is not JSON.
    """
    source = source_of(function)
    _check_arguments(function, args, kwargs)
    given = {
        "function": function.__name__,
        "args": [_plain(f"op_args[{number}]", value) for number, value in enumerate(args)],
        "kwargs": {name: _plain(f"op_kwargs[{name!r}]", value) for name, value in kwargs.items()},
    }
    return {
        "runner.py": resources.files(__package__).joinpath("runner.py").read_text(encoding="utf-8"),
        "pai_function.py": source,
        "arguments.json": json.dumps(given),
    }


def source_of(function: Callable[..., Any]) -> str:
    """Return a module that defines the function without its task decorators, each line where the DAG file has it.

    Not a character of the function is changed: what looks like a comment or an indent may stand in a text of its.

    :raises PaiConfigError: no function that could be defined elsewhere.
    """
    try:
        lines, first = inspect.getsourcelines(function)
        opening = "if True:\n" if lines[0][0].isspace() else "\n"
        # Annotations may name what only the DAG file imports; so they must not be evaluated.
        text = "from __future__ import annotations\n" + "\n" * (first - 3) + opening + "".join(lines)
        statement = ast.parse(text).body[1]
    except (OSError, TypeError, SyntaxError) as error:
        raise PaiConfigError(FIELD, str(function), f"a function made by def in a file: {error}") from None
    definition = statement.body[0] if isinstance(statement, ast.If) else statement
    if not isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        raise PaiConfigError(FIELD, function.__name__, "a function made by def")
    outer = set(inspect.unwrap(function).__code__.co_freevars) - {function.__name__}
    if outer:
        allowed = "the function may use its arguments and what it imports itself, not names around it"
        raise PaiConfigError(FIELD, ", ".join(sorted(outer)), allowed)
    return _without(definition.decorator_list, text)


def _without(decorators: Sequence[ast.expr], text: str) -> str:
    lines = text.split("\n")
    for decorator in decorators:
        name = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if name not in _TASK_DECORATORS:
            raise PaiConfigError(FIELD, f"@{name}", "no decorator but @task.pai_dlc, spelled so, reaches the job")
        for number in range(decorator.lineno - 1, decorator.end_lineno or decorator.lineno):
            lines[number] = ""
    return "\n".join(lines)


def _check_arguments(function: Callable[..., Any], args: Collection[Any], kwargs: Mapping[str, Any]) -> None:
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        allowed = f"{error}; Airflow's context stays in the worker: hand over what is needed, e.g. '{{{{ run_id }}}}'"
        raise PaiConfigError("op_kwargs", sorted(kwargs), allowed) from None


def _plain(field: str, value: Any) -> Any:
    """Return a value as JSON has it; the lazy results of mapped tasks become lists."""
    try:
        return json.loads(json.dumps(value, default=_listed, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise PaiConfigError(field, type(value).__name__, f"arguments travel as JSON: {error}") from None


def _listed(value: Any) -> list[Any]:
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
