"""The log-linear buckets: which one a value falls in, and where a bucket begins and ends.

Each power of two is cut into 128 equal buckets, and values below 128 have one each, so
the bounds of a bucket differ by at most 1/128 of its lower bound. One numbering covers
all of int64, so histograms made anywhere can be added.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]

SUB_BITS = 7
SUB_BUCKETS = 1 << SUB_BITS
#: buckets that exist: numbers 0 to BUCKETS - 1
BUCKETS = (62 - SUB_BITS) * SUB_BUCKETS + 2 * SUB_BUCKETS
#: a bucket's middle is this close to every value in it, as a fraction of the value
RELATIVE_ERROR = 1 / (2 * SUB_BUCKETS)

_MANTISSA_BITS = 52
_EXPONENT_BIAS = 1023
_FIRST_LOG = ((_EXPONENT_BIAS + SUB_BITS) << SUB_BITS) - SUB_BUCKETS
_EXACT_FLOAT = 1 << (_MANTISSA_BITS + 1)
_ROUNDED_AWAY = (1 << (63 - _MANTISSA_BITS)) - 1


def bucket_of(values: Int64) -> Int64:
    """Return the bucket number of each value.

    Parameters
    ----------
    values : ndarray of int64, shape (n,)
        Non-negative; the caller has checked.

    Notes
    -----
    The exponent and the top seven bits of the mantissa of a double, read as one
    integer, are the bucket number but for an offset: four passes over the array, in place.
    """
    if values.size and int(values.max()) >= _EXACT_FLOAT:
        # The conversion must not round a value up into the next bucket; these low
        # bits are far below the bucket width of so large a value.
        values = np.where(values >= _EXACT_FLOAT, values & ~_ROUNDED_AWAY, values)
    bits = values.astype(np.float64).view(np.int64)
    bits >>= _MANTISSA_BITS - SUB_BITS
    bits -= _FIRST_LOG
    np.copyto(bits, values, where=values < SUB_BUCKETS)
    return bits


def lower_bounds(buckets: Int64) -> Int64:
    """Return the smallest value of each bucket, int64 of the same shape."""
    shift = _shift(buckets)
    return (buckets - (shift << SUB_BITS)) << shift


def upper_bounds(buckets: Int64) -> Int64:
    """Return the largest value of each bucket, int64 of the same shape."""
    return lower_bounds(buckets) + _span(buckets)


def middles(buckets: Int64) -> Int64:
    """Return the integer in the middle of each bucket, int64 of the same shape."""
    return lower_bounds(buckets) + (_span(buckets) >> 1)


def _shift(buckets: Int64) -> Int64:
    shift: Int64 = np.maximum((buckets >> SUB_BITS) - 1, 0)
    return shift


def _span(buckets: Int64) -> Int64:
    span: Int64 = (np.int64(1) << _shift(buckets)) - 1
    return span
