"""Our wheel beside each Airflow whose pins are kept, on each Python: does a pin move, do the unit tests pass?

`make test-versions` runs it, `python -m release.matrix --airflow 3.1.8 --python 3.12` one of its rows, `--lowest`
that of the lowest versions that `pyproject.toml` allows. What follows `--` goes to pytest in place of the unit tests.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PINS = {path.stem.removeprefix("airflow-"): path for path in sorted((ROOT / "tests/constraints").glob("airflow-*.txt"))}
PYTHONS = ("3.11", "3.12", "3.13")
# Airflow 2.11 ends before it.
NEVER = {("2.11.2", "3.13")}
NEEDS = ("hypothesis", "pytest", "pytest-asyncio", "pytest-timeout", "pytest-xdist")
# What looks at the repository, starts processes, or needs more than the wheel and these.
ELSEWHERE = "docs emulator demo system system2 testing test_house.py test_package.py test_recipe.py".split()
IGNORED = [f"--ignore=tests/{name}" for name in ELSEWHERE]
UNIT_TESTS = ("-m", "not system and not emulator", "-n", "2", "--dist", "worksteal", *IGNORED, "tests")
UV = Path(sys.executable).with_name("uv")


class RowError(Exception):
    """A row that ends early: the last words of the command that failed."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """An environment of one Airflow on one Python."""

    airflow: str
    python: str
    wheel: Path
    tests: Sequence[str]

    @property
    def folder(self) -> Path:
        """Return where the environment stands."""
        return ROOT / "build" / "versions" / f"{self.airflow}-{self.python}"

    def run(self) -> tuple[str, ...]:
        """Return the cells.

        :raises RowError: a step fails, or a pin moves.
        """
        self.make()
        kept, new = self.install()
        return self.airflow, self.python, f"{kept} kept, {new} new", self.test()

    def make(self) -> None:
        """Install Airflow as its users do, with Alibaba's own provider: it pins packages that we need, too."""
        told("venv", "--clear", "--no-python-downloads", "--python", self.python, self.folder)
        self.pip("install", f"apache-airflow=={self.airflow}", "apache-airflow-providers-alibaba", *self.pins)

    @property
    def pins(self) -> tuple[str, ...]:
        """Return uv's option for Airflow's pins."""
        return "--constraint", str(PINS[self.airflow])

    def install(self) -> tuple[int, int]:
        """Install the wheel under the pins; return how many packages it found and how many it brought.

        :raises RowError: one that was there is now another.
        """
        before = self.frozen()
        self.pip("install", f"{self.wheel}[emulator]", *self.pins)
        after = self.frozen()
        if moved := sorted(before - after):
            raise RowError(f"moved: {', '.join(moved)}")
        return len(before), len(after - before)

    def test(self) -> str:
        """Return what pytest counts.

        :raises RowError: a test fails.
        """
        self.pip("install", *NEEDS)
        said = run(self.folder / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *self.tests)
        return re.sub(r" in .*", "", said.strip().splitlines()[-1].strip("= "))

    def frozen(self) -> set[str]:
        """Return what is installed, and in which version."""
        return set(self.pip("freeze").split("\n"))

    def pip(self, command: str, *arguments: str) -> str:
        """Return what uv's pip answers."""
        return told("pip", command, "--python", self.folder / "bin" / "python", *arguments)


@dataclass(frozen=True, kw_only=True)
class LowestRow(Row):
    """An environment of the lowest versions that `pyproject.toml` allows."""

    def make(self) -> None:
        """Nothing is there before."""
        told("venv", "--clear", "--no-python-downloads", "--python", self.python, self.folder)

    def install(self) -> tuple[int, int]:
        """Install the lowest of each direct dependency, and the newest of all else."""
        lowest = (
            "--resolution",
            "lowest-direct",
            "--requirements",
            str(ROOT / "pyproject.toml"),
            "--extra",
            "emulator",
        )
        self.pip("install", *lowest)
        self.pip("install", "--no-deps", str(self.wheel))
        return 0, len(self.frozen())


def told(*arguments: object) -> str:
    return run(UV, "--quiet", *arguments)


def run(*command: object) -> str:
    """Return what a command prints.

    :raises RowError: it fails.
    """
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RowError("\n".join((done.stdout + done.stderr).splitlines()[-15:]))
    return done.stdout


def rows(given: argparse.Namespace, wheel: Path) -> Iterator[Row]:
    """Yield what is asked for."""
    common = {"wheel": wheel, "tests": given.tests or UNIT_TESTS}
    if given.lowest:
        yield LowestRow(airflow="lowest", python=PYTHONS[0], **common)
        return
    for airflow in given.airflow or PINS:
        for python in given.python or PYTHONS:
            if (airflow, python) not in NEVER:
                yield Row(airflow=airflow, python=python, **common)


def main() -> int:
    """Print a row of the table after the other; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--airflow", action="append", choices=PINS)
    parser.add_argument("--python", action="append", choices=PYTHONS)
    parser.add_argument("--lowest", action="store_true", help="the lowest versions that pyproject.toml allows")
    parser.add_argument("tests", nargs="*", help="for pytest")
    (wheel,) = (ROOT / "dist").glob("*.whl")
    failed = 0
    print("| Airflow | Python | Airflow's pins | unit tests |\n|---|---|---|---|", flush=True)
    for row in rows(parser.parse_args(), wheel):
        try:
            print(f"| {' | '.join(row.run())} |", flush=True)
        except RowError as error:
            failed = 1
            print(f"| {row.airflow} | {row.python} | FAILED | |\n{error}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
