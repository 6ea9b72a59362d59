"""A seeded sample of the cases: paths that are quick, each with faults that a seed picks."""

from __future__ import annotations

import random

import pytest

from airflow_provider_pai.emulator import Emulator
from tests.fire.case import EXTENTS, KINDS, Case, calls_of, play, waits
from tests.fire.stage import PATHS

SLOW = ("canary", "blue_green", "shadow", "roll_back", "undo_deployment")
QUICK = [(path, way) for path in PATHS if path not in SLOW for way in waits(path)]
"""They are played by the bench alone."""
CASES = 2


@pytest.mark.parametrize(("path", "deferrable"), random.Random(1).sample(QUICK, 12))
def test_a_path_under_fire(pai: Emulator, path: str, deferrable: bool) -> None:
    dice, calls = random.Random(f"{path} {deferrable}"), calls_of(pai, path, deferrable)
    for _ in range(CASES):
        kind, extent = dice.choice(KINDS), dice.choice(list(EXTENTS))
        case = Case(path, deferrable, dice.choice(list(calls)), 0, kind, extent, dice.randrange(100))
        assert play(pai, case).wrong == [], case
