import pickle

import pytest

from airflow_provider_pai import exceptions
from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError, PaiError, PaiFunctionError, PaiJobFailedError


@pytest.mark.parametrize(
    "error",
    [
        PaiConfigError("workers", 0, "at least 1"),
        PaiApiError("dlc", "CreateJob", "no", "Forbidden.RAM", 403, "R1"),
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


def test_the_tree_in_the_docstring_is_the_tree():
    named = {name for name in vars(exceptions) if isinstance(vars(exceptions)[name], type)}
    own = {name for name in named if issubclass(vars(exceptions)[name], PaiError)}
    assert all(name in exceptions.__doc__ for name in own)
