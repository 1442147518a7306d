"""Levels of more than 8 bits."""

import numpy as np
import pytest

from utils.media.levels import to_uint8


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (np.array([0, 7, 255], np.uint8), [0, 7, 255]),
        (np.array([0, 7, 200], np.uint16), [0, 7, 200]),  # 8 bits in a wider type
        (np.array([0, 2048, 4095], np.uint16), [0, 127, 255]),  # 12 bits
        (np.array([0, 16383], np.int32), [0, 255]),  # 14 bits
        (np.array([0, 128 * 257, 65535], np.uint16), [0, 128, 255]),
        (np.array([0, 100_000], np.int32), [0, 255]),
        (np.array([-1000, 0, 1000], np.int16), [0, 127, 255]),
        (np.array([0, 0.5, 1], np.float32), [0, 127, 255]),
        (np.array([0, 0.01, 0.02]), [0, 127, 255]),  # on no usual scale
        (np.array([0, 0.6, 1.2]), [0, 127, 255]),
        (np.array([0, 100, 255], np.float64), [0, 100, 255]),
        (np.array([np.nan, 1, np.inf, -np.inf]), [0, 255, 255, 0]),
        (np.array([-1e308, 1e308]), [0, 255]),
        (np.array([0.0, 0.0]), [0, 0]),
        (np.array([np.nan]), [0]),
        (np.array([5e-324]), [0]),
        (np.zeros(0, np.uint16), []),
    ],
)
def test_levels_fill_the_range(levels, expected):
    result = to_uint8(levels)
    assert result.dtype == np.uint8 and result.tolist() == expected
