"""A share with its interval."""

from __future__ import annotations

import math
from statistics import NormalDist

_CONFIDENCE = 0.95


def share_interval(part: int, whole: int, confidence: float = _CONFIDENCE) -> tuple[float, float]:
    """Return the Wilson score interval of ``part / whole``, 0 to 1.

    Parameters
    ----------
    part, whole : int
        ``0 <= part <= whole``; 0 to 1 is returned for a whole of 0.
    confidence : float
        How often the interval has the true share in it, if the cases are independent.

    Notes
    -----
    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the
    American Statistical Association 22 (1927). Unlike the normal interval it does not shrink to
    nothing where the share is 0 or 1.
    """
    if not 0 <= part <= whole:
        raise ValueError(f"{part} is no part of {whole}")
    if not whole:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, square = part / whole, z * z / whole
    centre = (share + square / 2) / (1 + square)
    reach = z / (1 + square) * math.sqrt(share * (1 - share) / whole + square / (4 * whole))
    low, high = max(centre - reach, 0.0), min(centre + reach, 1.0)
    return (0.0 if part == 0 else low), (1.0 if part == whole else high)
