"""The person before a command: what is said beside its output, and who is asked."""

from __future__ import annotations

import pytest

from airflow_provider_pai.cli.person import agreed, say
from airflow_provider_pai.exceptions import PaiConfigError


@pytest.mark.parametrize(("answer", "goes_on"), [("y", True), (" YES ", True), ("", False), ("no", False)])
def test_a_person_is_asked_and_silence_is_no(monkeypatch, answer, goes_on):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert agreed("the job", yes=False) is goes_on


def test_where_nobody_can_be_asked_the_option_has_to_be_given(monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert agreed("the job", yes=True)
    with pytest.raises(PaiConfigError, match=r"--yes: None is not allowed; given where .*: the job costs money"):
        agreed("the job", yes=False)


def test_what_is_said_stays_out_of_the_output(capsys):
    say("on its way")
    assert capsys.readouterr() == ("", "on its way\n")
