from __future__ import annotations

import pytest

from airflow_provider_pai.emulator.oss.errors import OssError
from airflow_provider_pai.emulator.oss.index import Attributes
from airflow_provider_pai.emulator.oss.restore import Thaw, check_readable, restored

DAY = 86_400
ASKED = 1_000_000.0


def thaw(now: float, days: int = 2) -> Thaw:
    return Thaw.of(Attributes(restored=(ASKED, days)), now, minute=60)


def test_a_restore_takes_a_minute_and_lasts_for_its_days():
    assert str(thaw(ASKED + 59)) == 'ongoing-request="true"'
    assert str(thaw(ASKED + 60)) == 'ongoing-request="false", expiry-date="Wed, 14 Jan 1970 13:46:40 GMT"'
    assert str(thaw(ASKED + 2 * DAY)) == ""


@pytest.mark.parametrize("now", [ASKED, ASKED + 2 * DAY])
def test_an_archived_object_is_read_only_while_it_is_restored(now):
    with pytest.raises(OssError, match="InvalidObjectState"):
        check_readable("Archive", thaw(now))
    check_readable("Archive", thaw(ASKED + 60))
    check_readable("Standard", Thaw())


def test_an_object_that_is_restored_is_for_longer():
    now = ASKED + DAY
    attributes = restored(Attributes(restored=(ASKED, 2)), "Archive", thaw(now), 3, now)
    assert attributes.restored == (ASKED, 4)


def test_a_restore_that_is_over_begins_anew():
    now = ASKED + 9 * DAY
    assert restored(Attributes(restored=(ASKED, 2)), "Archive", thaw(now), 3, now).restored == (now, 3)


def test_a_restore_is_refused_where_it_makes_no_sense():
    with pytest.raises(OssError, match="OperationNotSupported"):
        restored(Attributes(), "Standard", Thaw(), 1, ASKED)
    with pytest.raises(OssError, match="RestoreAlreadyInProgress"):
        restored(Attributes(restored=(ASKED, 1)), "Archive", thaw(ASKED), 1, ASKED)
