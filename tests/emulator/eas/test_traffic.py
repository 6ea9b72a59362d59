from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.emulator.eas.traffic import Split

WEIGHTS = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 20), min_size=1)


@given(weights=WEIGHTS, rounds=st.integers(1, 3))
def test_every_full_round_is_exact(weights, rounds):
    split = Split()
    chosen = Counter(split.choose(weights) for _ in range(rounds * sum(weights.values())))
    assert chosen == Counter({name: rounds * weight for name, weight in weights.items() if weight})


def test_shares_are_evenly_spread():
    split = Split()
    assert "".join(split.choose({"a": 3, "b": 1}) or "-" for _ in range(8)) == "aabaaaba"


def test_nobody_is_chosen_without_a_weight():
    assert Split().choose({}) is None
    assert Split().choose({"a": 0}) is None


def test_a_change_of_weights_counts_at_once():
    split = Split()
    split.choose({"a": 100})
    assert [split.choose({"a": 0, "b": 1}) for _ in range(3)] == ["b", "b", "b"]
