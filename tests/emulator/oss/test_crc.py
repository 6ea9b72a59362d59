from __future__ import annotations

from fastcrc import crc64
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.emulator.oss.crc import combine


@given(left=st.binary(), right=st.binary())
def test_two_crcs_make_the_crc_of_both_texts(left, right):
    assert combine(crc64.xz(left), crc64.xz(right), len(right)) == crc64.xz(left + right)
