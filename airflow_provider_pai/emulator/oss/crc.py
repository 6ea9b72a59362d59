"""CRC-64/XZ of two texts put together, from the CRCs of both.

Matrices over GF(2), as in zlib's crc32_combine.
"""

from __future__ import annotations

from functools import cache

_POLYNOMIAL = 0xC96C5795D7870F42  # reflected
Matrix = tuple[int, ...]


def combine(left: int, right: int, length: int) -> int:
    """Return the CRC of a text whose first part has CRC `left` and whose second, `length` bytes long, has `right`."""
    power = 3  # a byte is eight shifts of one bit
    while length:
        if length & 1:
            left = _times(_shift(power), left)
        length >>= 1
        power += 1
    return left ^ right


@cache
def _shift(power: int) -> Matrix:
    """Return the operator that shifts a CRC by 2**power zero bits."""
    if power == 0:
        return (_POLYNOMIAL, *(1 << bit for bit in range(63)))
    half = _shift(power - 1)
    return tuple(_times(half, column) for column in half)


def _times(matrix: Matrix, vector: int) -> int:
    total, bit = 0, 0
    while vector:
        if vector & 1:
            total ^= matrix[bit]
        vector >>= 1
        bit += 1
    return total
