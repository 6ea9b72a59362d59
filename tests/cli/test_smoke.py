"""The smoke round as a command: asked for, interrupted, summed up."""

from __future__ import annotations

import json
from argparse import Namespace

import pytest

from airflow_provider_pai.cli import smoke
from airflow_provider_pai.exceptions import PaiConfigError, PaiError
from airflow_provider_pai.smoke.round import ServiceProbe


@pytest.fixture
def play(connection, bucket, tmp_path, monkeypatch):
    """Play a round of one probe; return how the command ended and its facts."""

    def play(probe=lambda one: one.facts.learn("dlc_tags", "free", "taken"), **arguments):
        given = {"conn_id": "pai_default", "bucket": f"oss://{bucket.bucket_name}/x", "image": "i:1", "yes": True}
        given |= {"instance_type": None, "service_type": "ecs.c7.large", "facts": str(tmp_path / "facts.json")}
        monkeypatch.setattr(smoke, "PROBES", (ServiceProbe("DLC", "a {choice.service_type}", probe, lambda _: []),))
        code = smoke.smoke(Namespace(**{**given, **arguments}))
        path = tmp_path / "facts.json"
        return code, json.loads(path.read_text())["facts"] if path.exists() else None

    return play


def test_what_it_will_make_is_said_and_what_it_learned_is_kept(play, capsys):
    assert play() == (0, {"dlc_tags": "free"})
    out, err = capsys.readouterr()
    assert "DLC: a ecs.c7.large" in err
    assert "dlc_tags  free  taken" in out


def test_a_script_says_yes_itself(play, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(PaiConfigError, match="--yes"):
        play(yes=False)


@pytest.mark.parametrize(("answer", "ended"), [("", (2, None)), ("n", (2, None)), ("Yes", (0, {"dlc_tags": "free"}))])
def test_a_person_is_asked(play, monkeypatch, answer, ended):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert play(yes=False) == ended


def test_an_interrupt_is_no_traceback_and_what_is_left_is_named(play, capsys):
    def probe(one):
        one.left.append("EAS service x")
        raise KeyboardInterrupt

    assert play(probe) == (130, {})
    err = capsys.readouterr().err
    assert "left: EAS service x; the next round clears it, or you in the console" in err
    assert "interrupted; see above for what is left" in err


def test_what_broke_off_ends_it_with_1(play):
    def probe(one):
        raise PaiError("not activated")

    assert play(probe) == (1, {})


@pytest.mark.parametrize(("name", "value"), [("bucket", None), ("bucket", "models"), ("image", " ")])
def test_what_it_needs_is_asked_for_before_anything(play, name, value):
    with pytest.raises(PaiConfigError, match=f"--{name}"):
        play(**{name: value})
