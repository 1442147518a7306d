"""Boxes of faces, x, y, w, h in pixels: clipped, compared, put together."""

import numpy as np


def covers_middle(outer: tuple[int, int, int, int], inner: tuple[int, int, int, int]) -> bool:
    """Whether the middle of one x, y, w, h box lies in another."""
    x, y = inner[0] + inner[2] / 2, inner[1] + inner[3] / 2
    return outer[0] <= x <= outer[0] + outer[2] and outer[1] <= y <= outer[1] + outer[3]


def clip_box(box_xywh, image_shape) -> tuple[int, int, int, int]:
    """An x, y, w, h box in whole pixels, cut at the borders of an image of shape (H, W, …)."""
    x, y, w, h = (float(value) for value in box_xywh)
    height, width = image_shape[:2]
    left, right = (round(min(max(edge, 0), width)) for edge in (x, x + w))
    top, bottom = (round(min(max(edge, 0), height)) for edge in (y, y + h))
    return left, top, right - left, bottom - top


def intersection_over_union(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> float:
    """How much two x, y, w, h boxes overlap, 0-1."""
    overlap_w = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    overlap_h = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    intersection = max(overlap_w, 0) * max(overlap_h, 0)
    union = first[2] * first[3] + second[2] * second[3] - intersection
    return intersection / union if union else 0.0


def overlap_matrix(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union, float (t, n), of every box of (t, 4) with every box of (n, 4)."""
    first, second = np.asarray(first, float).reshape(-1, 4), np.asarray(second, float).reshape(-1, 4)
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum((first[:, :2] + first[:, 2:])[:, None], (second[:, :2] + second[:, 2:])[None])
    intersection = np.prod(np.clip(high - low, 0, None), axis=2)
    union = np.prod(first[:, 2:], axis=1)[:, None] + np.prod(second[:, 2:], axis=1)[None] - intersection
    return np.where(union > 0, intersection / np.maximum(union, 1e-9), 0.0)
