"""Face boxes, x, y, w, h in pixels: clip and compare them."""

from collections.abc import Sequence

import numpy as np

Box = tuple[int, int, int, int]  # x, y, w, h in whole pixels


def covers_center(outer: Box, inner: Box) -> bool:
    """Whether the center of one box lies inside another."""
    x, y = inner[0] + inner[2] / 2, inner[1] + inner[3] / 2
    return outer[0] <= x <= outer[0] + outer[2] and outer[1] <= y <= outer[1] + outer[3]


def clip_box(box_xywh: Sequence[float] | np.ndarray, image_shape: tuple[int, ...]) -> Box:
    """Round a box to whole pixels and clip it to an image of shape (H, W, …)."""
    x, y, w, h = (float(value) for value in box_xywh)
    height, width = image_shape[:2]
    left, right = (round(min(max(edge, 0), width)) for edge in (x, x + w))
    top, bottom = (round(min(max(edge, 0), height)) for edge in (y, y + h))
    return left, top, right - left, bottom - top


def intersection_over_union(first: Box, second: Box) -> float:
    """How much two boxes overlap, 0-1."""
    return float(overlap_matrix(np.array(first), np.array(second))[0, 0])


def overlap_matrix(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union, float (t, n), of each of the boxes (t, 4) with each of the boxes (n, 4)."""
    first, second = np.asarray(first, float).reshape(-1, 4), np.asarray(second, float).reshape(-1, 4)
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum((first[:, :2] + first[:, 2:])[:, None], (second[:, :2] + second[:, 2:])[None])
    intersection = np.prod(np.clip(high - low, 0, None), axis=2)
    union = np.prod(first[:, 2:], axis=1)[:, None] + np.prod(second[:, 2:], axis=1)[None] - intersection
    return np.where(union > 0, intersection / np.maximum(union, 1e-9), 0.0)
