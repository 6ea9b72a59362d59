"""House rules that can be counted: names, first lines, tests of pure modules, the formatter's word."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "airflow_provider_pai"
PROJECT = [
    ROOT / name
    for name in ("airflow_provider_pai", "tests", "benchmarks", "demo", "docs_site", "example_dags", "release")
]
SOURCES = {path: path.read_text() for folder in PROJECT for path in folder.rglob("*.py")}
TREES = {path: ast.parse(text) for path, text in SOURCES.items()}
PROVIDER = {
    path: tree for path, tree in TREES.items() if PACKAGE in path.parents and PACKAGE / "emulator" not in path.parents
}

# A subordinate clause or a question tells only those who have read the module what it is.
CLAUSE = re.compile(r"(What|How|Which|Where|Whether|When|Why|Who|Whose|Is|Are|Does|That)\b")

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (ast.ClassDef, *FUNCTIONS)
# Entry points: `main` is Python's own word, and `parser` reads the command line of each.
SAME_NAME = {"main", "parser"}


def name_of(path: Path) -> str:
    """Return the dotted name of a module of the provider."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def first_line(tree: ast.Module) -> str:
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def test_every_module_says_in_a_noun_phrase_what_it_is():
    lines = {short(path): first_line(tree) for path, tree in TREES.items()}
    wrong = [f"{path}: {line}" for path, line in lines.items() if CLAUSE.match(line)]
    wrong += [short(path) for path in PROVIDER if not lines[short(path)]]
    assert not wrong, "\n".join(wrong)


def test_one_name_means_one_thing():
    places: dict[str, list[str]] = defaultdict(list)
    for path, tree in PROVIDER.items():
        for node in tree.body:
            if isinstance(node, DEFINITIONS) and not node.name.startswith("_"):
                places[node.name].append(short(path))
    wrong = [f"{name}: {', '.join(paths)}" for name, paths in places.items() if len(paths) > 1]
    wrong = [line for line in wrong if line.partition(":")[0] not in SAME_NAME]
    assert not wrong, "\n".join(wrong)


def test_the_formatter_has_the_last_word():
    directive = re.compile(r"#\s*fmt:\s*(skip|off)")
    assert [short(path) for path, text in SOURCES.items() if directive.search(text)] == []


# --- pure modules: import nothing but the standard library, pendulum, the errors and each other


def imports_of(tree: ast.Module) -> Iterator[str]:
    """Yield what a module imports anywhere, but for type checkers."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield from imports_of(node)  # type: ignore[arg-type]


MODULES = {name_of(path): tree for path, tree in PROVIDER.items()}
FREE = {*sys.stdlib_module_names, "pendulum"}


def module_of(imported: str) -> str:
    """Return the provider's module that an import names, or the top-level package of another's."""
    name = imported
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name if "." in name else imported.partition(".")[0]


def pure_modules() -> set[str]:
    """Return the modules without Airflow, SDK and network, at any depth; errors are Airflow's and count as pure.

    A package that hands names on late has every import that its modules have.
    """
    uses = {name: {module_of(each) for each in imports_of(tree)} for name, tree in MODULES.items()}
    late = {name for name, used in uses.items() if "airflow_provider_pai.lazy" in used}
    pure = set(MODULES) - late
    errors = "airflow_provider_pai.exceptions"
    while impure := {name for name in pure - {errors} if uses[name] - pure - FREE}:
        pure -= impure
    return pure - {errors}


OTHER_NAME = {"airflow_provider_pai.get_provider_info": "tests/test_provider_info.py"}


def home_of_tests(module: str) -> str:
    """Return where the tests of a module stand."""
    *folders, name = module.split(".")[1:]
    return OTHER_NAME.get(module, "/".join(["tests", *folders, f"test_{name}.py"]))


def test_every_pure_module_with_a_rule_has_a_test_of_its_name():
    rules = [name for name in pure_modules() if any(isinstance(n, FUNCTIONS) for n in ast.walk(MODULES[name]))]
    missing = sorted(path for path in map(home_of_tests, rules) if not (ROOT / path).exists())
    assert not missing, "\n".join(missing)
