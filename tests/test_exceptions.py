import ast
import inspect
import pickle
from pathlib import Path

import pytest

from airflow_provider_pai import exceptions
from airflow_provider_pai.causes import CAUSES, Cause, Diagnosis
from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiConfigError,
    PaiConflictError,
    PaiError,
    PaiFunctionError,
    PaiJobFailedError,
    PaiTransferError,
    PaiTransientError,
)


def throttled():
    error = PaiTransientError("dlc", "CreateJob", "come again", "Throttling", 429)
    error.conn_id, error.retry_after = "pai_eu", 1.5
    return error


@pytest.mark.parametrize(
    "error",
    [
        PaiConfigError("workers", 0, "at least 1"),
        PaiApiError("dlc", "CreateJob", "no", "Forbidden.RAM", 403, "R1"),
        throttled(),
        PaiJobFailedError("DLC job", "dlc1", "Failed", "UserCommandFailed", "exit 1", "last line"),
        PaiJobFailedError("DLC job", "dlc1", "Failed", None, None, "", Diagnosis(Cause.NODE, 128)).for_good("so"),
        PaiFunctionError("DLC job", "dlc1", "Failed", None, None, "ValueError", "bad", "Traceback ..."),
        PaiFunctionError("DLC job", "dlc1", "Failed", None, None, "ValueError", "bad", "Traceback ...").for_good("so"),
    ],
)
def test_errors_pickle_with_their_facts(error):
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_bad_input_is_named_by_field_value_and_what_is_allowed():
    error = PaiConfigError("workers", 0, "a whole number of at least 1")
    assert str(error) == "workers: 0 is not allowed; a whole number of at least 1"
    assert isinstance(error, ValueError)


def test_bad_input_is_short_though_a_library_s_words_repeat_it():
    long = "x" * 100_000
    assert len(str(PaiConfigError("target", long, f"a path that is known: Protocol not known: {long}"))) < 3000


def test_an_error_is_one_line_that_leaves_out_what_is_not_known():
    error = PaiApiError("dlc", "CreateJob", "it is wrong → mend it")
    assert str(error) == "dlc CreateJob: it is wrong → mend it"
    error = PaiApiError("dlc", "CreateJob", "it is wrong", "Odd", 400)
    error.conn_id = "pai_eu"
    facts = "(connection pai_eu, code Odd, status 400)"
    assert str(error) == f"dlc CreateJob: it is wrong → {PaiApiError.todo} {facts}"
    other = error.saying("in other words", PaiConflictError)
    assert str(other) == f"dlc CreateJob: in other words → {PaiConflictError.todo} {facts}"


COLOURS = "\x1b[0;31mValueError\x1b[0m \x1b]8;;https://x\x07no\x1b]8;;\x1b\\ x\x1b[2K\x1b[1;32;40m\x1b(B"


@pytest.mark.parametrize(
    "error",
    [
        PaiError(COLOURS),
        PaiConfigError("code", "x", COLOURS),
        PaiApiError("dlc", "CreateJob", COLOURS),
        PaiJobFailedError("DSW run", "dsw1", "Failed", None, None, COLOURS),
        PaiFunctionError("DLC job", "dlc1", "Failed", None, None, "ValueError", "bad", COLOURS),
    ],
)
def test_a_terminals_control_codes_are_no_part_of_a_text(error):
    assert "ValueError no x" in str(error)
    assert "\x1b" not in str(error)


def test_an_error_of_ours_has_its_cause_in_its_words_and_no_traceback_of_it():
    """Airflow prints the traceback of each cause; a query's or function's own is what its author needs."""
    chained = set()
    for path in Path(exceptions.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Raise(exc=ast.Call(func=ast.Name(id=name)), cause=ast.Name()) if name.startswith("Pai"):
                    chained.add(name)
    assert chained == {"PaiMetricsError"}


def test_the_tree_in_the_docstring_is_the_tree():
    named = {name for name in vars(exceptions) if isinstance(vars(exceptions)[name], type)}
    own = {name for name in named if issubclass(vars(exceptions)[name], PaiError)}
    assert all(name in exceptions.__doc__ for name in own)


# Said of what is allowed; of a look, which it does not end; bases that nothing raises.
SAYS_IT_OTHERWISE = {"PaiConfigError", "PaiUnsupportedError", "PaiMetricsError", "PaiError"}
KINDS = {name: one for name, one in vars(exceptions).items() if isinstance(one, type) and issubclass(one, PaiError)}


@pytest.mark.parametrize("name", sorted(KINDS.keys() - SAYS_IT_OTHERWISE))
def test_every_error_ends_with_what_to_do(name):
    kind = KINDS[name]
    assert kind.todo
    assert kind.todo not in {KINDS[other].todo for other in KINDS.keys() - {name}}, "another kind's words"
    takes = inspect.signature(kind.__init__).parameters.values()
    needed = sum(1 for each in takes if each.kind is each.POSITIONAL_OR_KEYWORD and each.default is each.empty) - 1
    assert f"→ {kind.todo}" in str(kind(*["it is wrong"] * max(needed, 1)))


def test_an_error_that_says_what_to_do_says_it_once_and_below_its_log():
    assert str(PaiTransferError("it changed → upload it")) == "it changed → upload it"
    failed = PaiJobFailedError("DLC job", "dlc1", "Failed", None, None, "50 % → 60 %\nKilled")
    assert str(failed).splitlines()[-1] == f"→ {PaiJobFailedError.todo}"


def test_a_failure_begins_with_its_cause_and_ends_with_what_to_do_about_that():
    facts = ("DLC job", "dlc2", "Failed", "JobFailed", None, "Killed", Diagnosis(Cause.OUT_OF_MEMORY, 137))
    last = PaiJobFailedError(*facts).for_good("not retried: dlc1 has failed just so")
    assert str(last).splitlines() == [
        "out_of_memory: DLC job dlc2 ended as Failed: JobFailed: no reason given; not retried: dlc1 has failed just so",
        "Killed",
        f"→ {CAUSES[Cause.OUT_OF_MEMORY].todo}",
    ]


def test_what_raises_a_bare_error_says_what_to_do():
    """What a smoke round could not see is told in its own table, and what ended a shadow run is its own end."""
    bare = set()
    for path in Path(exceptions.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Raise(exc=ast.Call(func=ast.Name(id="PaiError"), args=[said])) if "→" not in ast.unparse(said):
                    bare.add((path.parent.name, ast.unparse(said)))
    handed_on = {(place, "event['error']") for place in ("eas", "sensors")}
    assert {found for found in bare if found[0] != "smoke"} == {*handed_on, ("rollouts", "'the shadow run was ended'")}
