from __future__ import annotations

import pytest

from airflow_provider_pai.emulator.oss.slots import Slots


@pytest.fixture
def slots(tmp_path):
    return Slots(tmp_path / "body")


def write(slots, number, data):
    with slots.take(number, len(data)) as slot:
        slot.write(data)
        slot.kept = True


def test_parts_of_one_size_lie_as_in_the_object(slots):
    for number, data in [(2, b"cd"), (1, b"ab"), (3, b"e")]:
        write(slots, number, data)
    assert slots.path.read_bytes() == b"abcde"
    assert slots.close([(1, 2), (2, 2), (3, 1)])


def test_a_part_that_does_not_fit_needs_a_file_of_its_own(slots):
    write(slots, 1, b"ab")
    assert slots.take(1, 2) is None
    assert slots.take(2, 3) is None
    assert slots.take(2, None) is None


def test_a_part_that_was_not_taken_in_gives_its_place_back(slots):
    with slots.take(1, 2) as slot:
        slot.write(b"a")
    write(slots, 1, b"ab")
    assert slots.close([(1, 2)])


def test_an_object_with_a_gap_or_a_part_on_its_way_does_not_lie_there(slots):
    for number in (1, 3):
        write(slots, number, b"ab")
    assert not slots.close([(1, 2), (3, 2)])
    with slots.take(2, 2):
        assert not slots.close([(1, 2), (2, 2), (3, 2)])


def test_nothing_is_written_any_more_once_it_is_closed(slots):
    write(slots, 1, b"ab")
    assert slots.close([(1, 2)])
    assert slots.take(2, 2) is None
