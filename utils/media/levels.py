"""Levels of images with more than 8 bits: sensors, scanners, microscopes and computations store them in many ways."""

import numpy as np

# What white is in usual data of 8, 10, 12, 14, 15 (signed 16) and 16 bits. Files of 16 bits hold them all, and do not
# say which.
WHITES = (255, 1023, 4095, 16383, 32767, 65535)
DARKEST = 0.25  # of white: real numbers that all stay below it are on another scale


def to_uint8(levels: np.ndarray) -> np.ndarray:
    """Convert levels of any type and shape to uint8, 0 to 255.

    8-bit levels stay as they are. Others are stretched:

    * Integers from 0 on: white is the smallest of WHITES that none exceeds. So 12 bits in a 16-bit file fill the
      range, and 8-bit levels in a wider type stay as they are.
    * Real numbers from 0 on: white is 1 if none exceeds it, else as for integers; but if none reaches a quarter of
      that, white is the brightest.
    * Negative levels, or some above 65535: the lowest becomes black and the brightest white.

    What is not finite does not count. It becomes black, +∞ white.
    """
    if levels.dtype == np.uint8:
        return levels
    is_real = np.issubdtype(levels.dtype, np.floating)
    if is_real:
        finite = levels[np.isfinite(levels)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    else:
        low, high = (float(levels.min()), float(levels.max())) if levels.size else (0.0, 0.0)
    black, white = level_range(low, high, is_real)
    # Halves keep the difference of the largest real numbers finite.
    share = (levels.astype(np.float64) / 2 - black / 2) / max(white / 2 - black / 2, np.finfo(np.float64).tiny)
    share = np.nan_to_num(share, nan=0.0, posinf=1.0, neginf=0.0)
    return (np.clip(share, 0, 1) * 255).astype(np.uint8)


def level_range(low: float, high: float, is_real: bool) -> tuple[float, float]:
    """The levels that become black and white: see to_uint8. low, high: the lowest and the highest level."""
    white = next((white for white in ((1,) if is_real else ()) + WHITES if high <= white), None)
    if low < 0 or white is None:
        return low, high
    return 0.0, float(white if not is_real or high >= DARKEST * white or not high else high)
