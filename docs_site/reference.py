"""Reference of operators, sensors, triggers and hooks, made of their signatures and docstrings.

A page of docs/ says what it shows between `<!-- reference: operators.dlc sensors.dlc -->` and `<!-- end -->`: modules
of the package, or single classes. What a class inherits is described once, with its base, where a page shows that.
"""

from __future__ import annotations

import importlib
import inspect
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import BaseHook

from docs_site.docstrings import Docstring

PACKAGE = "airflow_provider_pai"
DOCS = Path(__file__).parents[1] / "docs"
FOLDER = "reference/"
TEMPLATED = "(templated)"
"""What the text of an argument that is a template ends with."""

_MARK = re.compile(r"^<!-- reference: (.*?) -->$.*?^<!-- end -->$", re.MULTILINE | re.DOTALL)


def filled(markdown: str, page: str) -> str:
    """Return a page's Markdown with the reference in the place of its marks."""

    def sections(mark: re.Match[str]) -> str:
        return "\n\n".join(section(one, module, page) for one, module in _classes(mark[1].split()))

    return _MARK.sub(sections, markdown)


@cache
def pages() -> Mapping[type, str]:
    """Return the page of each class that the reference shows."""
    found: dict[type, str] = {}
    for path in sorted((DOCS / FOLDER).glob("*.md")):
        for names in _MARK.findall(path.read_text()):
            found |= {one: path.relative_to(DOCS).as_posix() for one, _ in _classes(names.split())}
    return found


def _classes(names: Iterable[str]) -> Iterator[tuple[type, str]]:
    """Yield the classes that modules hand on, and those that are named themselves, with where to import them from."""
    for name in names:
        path, _, last = f"{PACKAGE}.{name}".rpartition(".")
        if last.lstrip("_")[0].isupper():
            yield getattr(importlib.import_module(path), last), path
            continue
        module = importlib.import_module(f"{path}.{last}")
        own = [each for each, one in vars(module).items() if getattr(one, "__module__", "") == module.__name__]
        for each in getattr(module, "__all__", own):
            if inspect.isclass(one := getattr(module, each)) and not each.startswith("_"):
                yield one, module.__name__


def lineage(one: type) -> list[type]:
    """Return a class and its bases as far as they are the package's, the nearest first."""
    return [base for base in one.__mro__ if base.__module__.startswith(f"{PACKAGE}.")]


def _together(one: type) -> list[type]:
    """Return a class and those of its bases that have no section of their own."""
    return [base for base in lineage(one) if base is one or base not in pages()]


def _link(one: type, page: str) -> str:
    name = title(one)
    to = posixpath.relpath(pages()[one], posixpath.dirname(page) or ".") if pages()[one] != page else ""
    return f"[{name}]({to}#{name.lower()})"


def title(one: type) -> str:
    """Return the name by which people know a class."""
    return str(vars(one).get("custom_operator_name", one.__name__))


def section(one: type, module: str, page: str) -> str:
    """Return what the reference says of a class."""
    import_line = f"`from {module} import {one.__name__}`" if one.__name__[0] != "_" else ""
    table = [*_HEAD, *rows] if (rows := [row for base in _together(one) for row in _rows(one, base)]) else []
    paragraphs = [
        f"## {title(one)}",
        import_line,
        Docstring.of(one).text,
        "\n".join(table),
        _inherited(one, page),
        "\n".join(_facts(one)),
        *(_methods(one) if issubclass(one, BaseHook) else ()),
    ]
    return "\n\n".join(filter(None, paragraphs)) + "\n"


# --- arguments

_HEAD = ("| argument | type | default | template | what it is |", "|---|---|---|---|---|")


def arguments(one: type) -> dict[str, inspect.Parameter]:
    """Return the arguments of a class's own constructor, but for what it hands on."""
    if "__init__" not in vars(one):
        return {}
    given = list(inspect.signature(vars(one)["__init__"]).parameters.values())[1:]
    return {each.name: each for each in given if each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}}


def is_templated(one: type, name: str) -> bool:
    """Tell whether an argument is a template; an address may be kept as `…_uri`."""
    return bool({name, f"{name}_uri"} & set(getattr(one, "template_fields", ())))


def described(one: type, name: str) -> str:
    """Return what the docstring of a class, or of the nearest base that has it, says of an argument."""
    return next(filter(None, (Docstring.of(base).params.get(name) for base in lineage(one))), "")


def _rows(one: type, base: type) -> Iterator[str]:
    for name, parameter in arguments(base).items():
        template = "yes" if is_templated(one, name) else ""
        what = described(base, name).removesuffix(TEMPLATED).strip()
        yield f"| `{name}` | {_type(parameter)} | {_default(parameter)} | {template} | {what} |"


def _type(parameter: inspect.Parameter) -> str:
    return f"`{parameter.annotation}`".replace("Span", "timedelta | float | str")


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return "needed"
    default = str(parameter.default) if isinstance(parameter.default, timedelta) else repr(parameter.default)
    return "" if parameter.default in (None, "") else f"`{default}`"


def _inherited(one: type, page: str) -> str:
    own = {name for base in _together(one) for name in arguments(base)}
    from_bases = []
    for base in lineage(one)[1:]:
        if base in pages() and (names := [f"`{name}`" for name in arguments(base) if name not in own]):
            from_bases.append(f"of {_link(base, page)}: {', '.join(names)}")
    return f"Arguments {'; '.join(from_bases)}." if from_bases else ""


# --- what comes of it


def _facts(one: type) -> Iterator[str]:
    if returns := next(filter(None, (Docstring.of(base).returns for base in lineage(one))), ""):
        yield f"- **XCom:** {returns}"
    if links := [f"*{link.name}*" for link in getattr(one, "operator_extra_links", ())]:
        yield f"- **Links:** {', '.join(links)}"
    if errors := raised(one):
        yield f"- **Errors:** {'; '.join(f'`{name}`: {text}' for name, text in errors.items())}"


def raised(one: type) -> dict[str, str]:
    """Return the errors that a task of a class may end with, and when."""
    texts: dict[str, dict[str, None]] = {}
    for name in _TASK:
        function = getattr(one, name, None)
        for error, text in Docstring.of(function).raises.items() if _is_ours(function) else ():
            texts.setdefault(error, {})[text.rstrip(".")] = None
    return {error: ", or ".join(each) for error, each in texts.items()}


_TASK = ("check", "build", "rollout", "change", "begin", "execute", "outcome", "result", "finish", "execute_complete")
"""Methods that a task goes through, in this order."""


def _is_ours(one: Any) -> bool:
    return getattr(one, "__module__", "").startswith(f"{PACKAGE}.")


# --- hooks


def methods(one: type) -> dict[str, Callable[..., Any]]:
    """Return a class's own public methods."""
    own = {name: getattr(each, "__func__", each) for name, each in vars(one).items() if name[0] != "_"}
    return {name: each for name, each in own.items() if inspect.isfunction(each)}


def _methods(one: type) -> Iterator[str]:
    shown: set[str] = set()
    for base in _together(one):
        for name, function in methods(base).items():
            if name not in shown:
                shown.add(name)
                yield _method(name, function)


def _method(name: str, function: Callable[..., Any]) -> str:
    said = Docstring.of(function)
    signature = inspect.signature(function)
    shown = signature.replace(parameters=list(signature.parameters.values())[1:])
    lines = [f"- `{each}`: {text}" for each, text in said.params.items()]
    lines += [f"- raises `{error}`: {text}" for error, text in said.raises.items()]
    # Annotations are texts here, which Python shows in quotes.
    given = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(shown))
    code = f"```python\n{name}{given}\n```"
    return "\n\n".join(filter(None, (f"### {name}", code, said.text, "\n".join(lines))))
