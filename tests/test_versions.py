from datetime import UTC, datetime, timedelta, timezone

import pytest

from airflow_provider_pai.versions import make_version, utc_text, version_time

CHINA = timezone(timedelta(hours=8))
EVENING = datetime(2026, 11, 22, 2, 0, 59, tzinfo=CHINA)


def test_a_version_tells_the_minute_in_utc_and_eight_characters_of_the_key():
    assert make_version(EVENING, "3f2a9c1b77") == "20261121T1800Z-3f2a9c1b"
    assert version_time("20261121T1800Z-3f2a9c1b") == datetime(2026, 11, 21, 18, tzinfo=UTC)


def test_versions_sort_by_time_whatever_their_keys():
    earlier, later = make_version(EVENING, "ffffffff"), make_version(EVENING + timedelta(minutes=1), "00000000")
    assert earlier < later


@pytest.mark.parametrize("text", ["", "latest", "2026-11-21", "-3f2a9c1b"])
def test_a_text_without_a_time_is_no_version(text):
    with pytest.raises(ValueError, match="does not match format"):
        version_time(text)


def test_times_are_written_in_utc_with_seconds():
    assert utc_text(EVENING) == "2026-11-21T18:00:59Z"
