"""Schema numbers: what is known is read, what is later is refused."""

from __future__ import annotations

import pickle

import pytest

from airflow_provider_pai.exceptions import PaiVersionError
from airflow_provider_pai.schemas import LABELS, Schema


@pytest.mark.parametrize("found", [None, "", 0, 1, "2", 2, "of somebody else", "-3", 1.5])
def test_what_is_known_or_has_no_number_is_read(found):
    Schema("a thing", 2).check(found)


@pytest.mark.parametrize("found", [3, "3", 10**9])
def test_a_later_number_is_refused_with_what_to_do(found):
    with pytest.raises(
        PaiVersionError, match=rf"^a thing of schema {found}, written by a newer .* → upgrade"
    ) as caught:
        Schema("a thing", 2).check(found)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_it_is_an_error_of_every_kind_that_readers_expect():
    with pytest.raises(ValueError, match="labels"):
        LABELS.check(LABELS.number + 1)
    assert issubclass(PaiVersionError, TypeError), "all that Airflow's triggerer survives in a trigger's constructor"
