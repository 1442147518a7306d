"""Paint for drawn people: smooth curves, colors, antialiased and soft shapes."""

from collections.abc import Iterable
from functools import cache

import cv2
import numpy as np
from numpy.typing import ArrayLike

SUBPIXEL_BITS = 4  # cv2's drawing functions take fixed-point coordinates
WHITE_SUM = 3 * 255  # R + G + B of white


@cache
def _spline_matrix(points: int, steps: int, closed: bool) -> np.ndarray:
    """Matrix float64 (samples, points) of a Catmull-Rom spline, so that a curve is one product."""
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    basis = 0.5 * np.concatenate(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3], axis=1
    )
    segments = points if closed else points - 1
    matrix = np.zeros((segments * steps + (not closed), points))
    for segment in range(segments):
        for k in range(4):
            index = segment + k - 1
            index = index % points if closed else min(max(index, 0), points - 1)
            matrix[segment * steps : (segment + 1) * steps, index] += basis[:, k]
    if not closed:
        matrix[-1, -1] = 1
    return matrix


def smooth(points: ArrayLike, steps: int = 6, closed: bool = True) -> np.ndarray:
    """Smooth curve through points (n, d): float64 (n * steps, d) if closed, else ((n - 1) * steps + 1, d)."""
    points = np.asarray(points, float)
    return _spline_matrix(len(points), steps, closed) @ points


def resample(curve: ArrayLike, count: int) -> np.ndarray:
    """`count` points, float64 (count, d), spread evenly along the length of an open curve (n, d)."""
    curve = np.asarray(curve, float)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    wanted = np.linspace(0, along[-1], count)
    return np.stack([np.interp(wanted, along, column) for column in curve.T], axis=1)


def mirrored(points: ArrayLike) -> np.ndarray:
    """A left-right symmetric closed outline, float64 (m, 2), from its right half (n, 2) from top to bottom.

    Points on the axis (x = 0) are not doubled.
    """
    points = np.asarray(points, float)
    left = points[::-1] * [-1, 1]
    return np.concatenate([points, left[np.abs(left[:, 0]) > 1e-9]])


def mix(first: ArrayLike, second: ArrayLike, amount: float) -> np.ndarray:
    """Color `amount` (0 to 1) of the way from `first` to `second`, RGB float64 (3,) in 0 to 255."""
    return np.asarray(first, float) * (1 - amount) + np.asarray(second, float) * amount


def shade(color: ArrayLike, factor: float) -> np.ndarray:
    """A color made darker (factor < 1) or lighter (> 1), RGB float64 (3,) in 0 to 255."""
    return np.clip(np.asarray(color, float) * factor, 0, 255)


def glow(color: ArrayLike, amount: float) -> np.ndarray:
    """Lit skin, RGB float64 (3,): brighter, and paler if the skin is pale; amount 0 to 1."""
    pale = np.sum(color) / WHITE_SUM
    return mix(shade(color, 1 + 0.5 * amount), (255, 250, 240), amount * pale)


def circle(center: ArrayLike, radius: float, stretch: float = 1.0, count: int = 20) -> np.ndarray:
    """A closed ellipse of `count` points, float64 (count, 2), `stretch` times as high as wide."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([np.cos(angle) * radius, np.sin(angle) * radius * stretch], axis=1) + np.asarray(center)


class Canvas:
    """An RGB uint8 picture (H, W, 3) with the coverage (H, W) of what was painted on it."""

    def __init__(self, pixels: np.ndarray) -> None:
        """`pixels` is the picture to paint on, in place; nothing of it is covered yet."""
        self.pixels = pixels
        self.coverage: np.ndarray = np.zeros(pixels.shape[:2], np.uint8)

    @staticmethod
    def _fixed(points: ArrayLike) -> np.ndarray:
        """Fixed-point coordinates int32 (n, 2), as cv2 wants them."""
        return np.round(np.asarray(points) * (1 << SUBPIXEL_BITS)).astype(np.int32)

    def mask(self, points: ArrayLike) -> np.ndarray:
        """Coverage uint8 (H, W) of a closed shape of pixels (n, 2)."""
        mask = np.zeros(self.coverage.shape, np.uint8)
        cv2.fillPoly(mask, [self._fixed(points)], 255, cv2.LINE_AA, SUBPIXEL_BITS)
        return mask

    def fill(self, points: ArrayLike, color: ArrayLike, covers: bool = False) -> None:
        """Paint a closed shape of pixels (n, 2); `covers` where it lies outside what is painted so far."""
        fixed = [self._fixed(points)]
        cv2.fillPoly(self.pixels, fixed, np.asarray(color, float).tolist(), cv2.LINE_AA, SUBPIXEL_BITS)
        if covers:
            cv2.fillPoly(self.coverage, fixed, 255, cv2.LINE_AA, SUBPIXEL_BITS)

    def lines(self, curves: Iterable[ArrayLike], color: ArrayLike, width: float = 1.0, covers: bool = False) -> None:
        """Paint open curves, pixels (n, points, 2), `width` pixels wide; `covers` as for `fill`."""
        for picture, paint in [(self.pixels, np.asarray(color, float).tolist()), (self.coverage, 255)][: 1 + covers]:
            cv2.polylines(
                picture, [self._fixed(curve) for curve in curves], False, paint, max(1, round(width)),
                cv2.LINE_AA, SUBPIXEL_BITS,
            )  # fmt: skip

    def soft(
        self,
        points: ArrayLike,
        color: ArrayLike,
        blur: float = 0.0,
        opacity: float = 1.0,
        clip: np.ndarray | None = None,
        curve_width: float | None = None,
    ) -> None:
        """Blend a shape of pixels (n, 2) with an edge `blur` pixels wide.

        `clip` is a coverage uint8 (H, W) to stay inside, needed where the shape may leave what is painted
        so far; with `curve_width`, in pixels, the points are an open curve.
        """
        points = np.asarray(points, float)
        # A Gaussian has faded out after 2.5 blurs; 2 more pixels hold the antialiased edge.
        margin = 2.5 * blur + 2 + (curve_width or 0)
        left, top = np.maximum(np.floor(points.min(0) - margin), 0).astype(int)
        right, bottom = np.ceil(points.max(0) + margin).astype(int)
        height, width = self.coverage.shape[:2]
        right, bottom = min(right, width), min(bottom, height)
        if left >= right or top >= bottom:
            return
        mask = self._soft_mask(points - [left, top], (right - left, bottom - top), blur, curve_width)
        self._blend((slice(top, bottom), slice(left, right)), mask, color, opacity, clip)

    @classmethod
    def _soft_mask(
        cls, points: np.ndarray, size_wh: tuple[int, int], blur: float, curve_width: float | None
    ) -> np.ndarray:
        """Blurred coverage uint8 (H, W) of a shape, or of an open curve if it has a width."""
        # A blurred shape has no detail: it is drawn small, which is what makes large blurs cheap.
        small = max(1.0, blur / 2)
        width, height = int(np.ceil(size_wh[0] / small)), int(np.ceil(size_wh[1] / small))
        mask = np.zeros((height, width), np.uint8)
        fixed = [cls._fixed(points * [width / size_wh[0], height / size_wh[1]])]
        if curve_width is None:
            cv2.fillPoly(mask, fixed, 255, cv2.LINE_AA, SUBPIXEL_BITS)
        else:
            thickness = max(1, round(curve_width / small))
            cv2.polylines(mask, fixed, False, 255, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
        if blur:
            # An edge looks as wide as 1.6 standard deviations of its blur.
            mask = cv2.GaussianBlur(mask, (0, 0), max(blur / small / 1.6, 0.4))
        return cv2.resize(mask, size_wh) if small > 1 else mask

    def _blend(
        self,
        window: tuple[slice, slice],
        mask: np.ndarray,
        color: ArrayLike,
        opacity: float,
        clip: np.ndarray | None,
    ) -> None:
        """Mix a color into a window of the picture, by a mask uint8 (h, w) of the window's size."""
        if clip is not None:
            mask = cv2.min(mask, clip[window])
        target = self.pixels[window]
        weight = cv2.merge([mask] * 3)
        # uint8 arithmetic: a third of the time of float, and at most one gray level off.
        rest = cv2.multiply(target, cv2.addWeighted(weight, -opacity, weight, 0, 255), scale=1 / 255)
        paint = cv2.multiply(weight, (*map(float, np.clip(color, 0, 255)), 0.0), scale=opacity / 255)
        cv2.add(rest, paint, target)
