"""Facts of an account, and their file as the emulator reads it."""

from __future__ import annotations

import json

from airflow_provider_pai.emulator.world import World
from airflow_provider_pai.smoke.facts import Facts


def test_the_emulator_reads_the_file(tmp_path):
    facts = Facts()
    facts.learn("eas_merge", "top", "metadata lost rolling_strategy")
    facts.learn("eas_share", None, "weight 10 of 100 got 30 of 300 requests")
    facts.write(tmp_path / "facts.json", {"region": "cn-hangzhou"})
    assert World.of_facts(tmp_path / "facts.json") == World(eas_merge="top")
    assert json.loads((tmp_path / "facts.json").read_text())["seen"]["eas_share"].startswith("weight 10")


def test_what_nobody_could_place_has_words_and_no_position():
    facts = Facts()
    facts.learn("eas_duplicate_code", None, "418 Teapot")
    facts.learn("dlc_list_days", 0, "90 days: taken")
    assert facts.lines() == [
        "eas_duplicate_code  -  418 Teapot",
        "dlc_list_days       0  90 days: taken",
    ]


def test_what_the_round_says_of_labels_is_a_position():
    for position in ("refused", "cut", "free"):  # smoke/eas.py
        assert World().changed({"label_values": position}).label_values == position
