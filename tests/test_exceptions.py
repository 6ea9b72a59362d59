import ast
import pickle
from pathlib import Path

import pytest

from airflow_provider_pai import exceptions
from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiConfigError,
    PaiConflictError,
    PaiError,
    PaiFunctionError,
    PaiJobFailedError,
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
        PaiFunctionError("DLC job", "dlc1", "Failed", None, None, "ValueError", "bad", "Traceback ..."),
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
    assert str(error) == "dlc CreateJob: it is wrong (connection pai_eu, code Odd, status 400)"
    other = error.saying("in other words", PaiConflictError)
    assert str(other) == "dlc CreateJob: in other words (connection pai_eu, code Odd, status 400)"


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
