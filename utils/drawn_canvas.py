"""Paint and pose for drawn people: antialiased shapes, soft shapes, and a head that turns.

Head coordinates: x to the right of the picture, y down, both in half face heights, (0, 0) in the middle
of the face, so that the hairline is near y = -1 and the chin near y = 1.
"""

from functools import cache

import cv2
import numpy as np

SUBPIXEL_BITS = 4  # cv2's drawing functions take fixed-point coordinates


@cache
def _spline_matrix(points, steps, closed):
    """Matrix (samples, points) of a Catmull-Rom spline, so that a curve is one product."""
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


def smooth(points, steps=6, closed=True):
    """Smooth curve through points (n, d): float (n * steps, d) if closed, else ((n - 1) * steps + 1, d)."""
    points = np.asarray(points, float)
    return _spline_matrix(len(points), steps, closed) @ points


def resample(curve, count):
    """`count` points (count, d) spread evenly along the length of an open curve (n, d)."""
    curve = np.asarray(curve, float)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    wanted = np.linspace(0, along[-1], count)
    return np.stack([np.interp(wanted, along, column) for column in curve.T], axis=1)


def mirrored(points):
    """A left-right symmetric closed outline from its right half (n, 2), given from top to bottom."""
    points = np.asarray(points, float)
    left = points[::-1] * [-1, 1]
    return np.concatenate([points, left[np.abs(left[:, 0]) > 1e-9]])


def mix(first, second, amount):
    """Colour `amount` (0 to 1) of the way from `first` to `second`, float (3,) in 0 to 255."""
    return np.asarray(first, float) * (1 - amount) + np.asarray(second, float) * amount


def shade(colour, factor):
    """A colour made darker (factor < 1) or lighter (> 1), float (3,) in 0 to 255."""
    return np.clip(np.asarray(colour, float) * factor, 0, 255)


def glow(colour, amount):
    """Where light falls on skin: brighter, and paler on pale skin only."""
    pale = np.sum(colour) / 765
    return mix(shade(colour, 1 + 0.5 * amount), (255, 250, 240), amount * pale)


def circle(center, radius, stretch=1.0, count=20):
    """A closed ellipse of `count` points (count, 2), `stretch` times as high as wide."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([np.cos(angle) * radius, np.sin(angle) * radius * stretch], axis=1) + center


class Pose:
    """Where a head is in the picture: from head coordinates to pixels.

    The face is the front of an upright cylinder of elliptical section, so a turn moves what is near the
    nose most and folds the far cheek away. The outline hardly changes when a head turns: only the chin,
    which lies forward, swings.
    """

    def __init__(self, shot, face_width, center_xy, unit):
        """Angles in degrees from `shot`; face_width in head units; center_xy and unit (1.0) in pixels."""
        self.yaw, self.pitch, self.roll = np.deg2rad([shot.yaw, shot.pitch, shot.roll])
        self.half_width = face_width * 1.06
        self.center, self.unit = np.asarray(center_xy, float), float(unit)
        self.fold = np.arctan2(np.cos(self.yaw) * self.half_width, abs(np.sin(self.yaw)) * 0.7)

    def _pixels(self, x, y, roll):
        cos, sin = np.cos(roll) * self.unit, np.sin(roll) * self.unit
        return np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1) + self.center

    def on_face(self, points, lift=0.0):
        """Pixels (..., 2) of points (..., 2) on the face, `lift` head units above its surface."""
        points = np.asarray(points, float)
        x, y = points[..., 0], points[..., 1]
        low = -self.fold if self.yaw < 0 else -np.pi / 2
        high = self.fold if self.yaw > 0 else np.pi / 2
        # The skull closes towards the top.
        half_width = self.half_width * np.sqrt(np.clip(1 - (np.minimum(y + 0.35, 0) / 1.06) ** 2, 0.04, 1))
        angle = np.clip(np.arcsin(np.clip(x / half_width, -1, 1)), low, high)
        forward = np.cos(angle) * (0.7 * np.sqrt(np.clip(1 - ((y - 0.1) / 1.6) ** 2, 0, 1)) + lift)
        outside = np.sign(x) * np.maximum(np.abs(x) - half_width, 0)
        across = np.sin(angle) * half_width * np.cos(self.yaw) + outside
        return self._pixels(
            across + forward * np.sin(self.yaw),
            y * np.cos(self.pitch) - forward * np.sin(self.pitch),
            self.roll,
        )

    def on_outline(self, points, depth=0.0):
        """Pixels (..., 2) of points (..., 2) on the silhouette, `depth` head units before its plane."""
        points = np.asarray(points, float)
        x, y = points[..., 0] + depth * np.sin(self.yaw), points[..., 1] - depth * np.sin(self.pitch)
        return self._pixels(x, y, self.roll)

    def on_body(self, points):
        """Pixels (..., 2) of points (..., 2) on neck and shoulders, which follow the head only a little."""
        points = np.asarray(points, float)
        x, y = points[..., 0] + 0.1 * np.sin(self.yaw), points[..., 1]
        # The neck bends at its root, so the shoulders stay under a tilted head.
        shift = 1.1 * (np.sin(self.roll) - np.sin(0.2 * self.roll))
        return self._pixels(x - shift, y, 0.2 * self.roll)

    def head_coordinates(self, x, y):
        """Unturned head coordinates (x, y) of pixel arrays x and y."""
        dx, dy = (x - self.center[0]) / self.unit, (y - self.center[1]) / self.unit
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        return dx * cos + dy * sin, -dx * sin + dy * cos


class Canvas:
    """An RGB uint8 picture (H, W, 3) with the coverage (H, W) of what was painted on it."""

    def __init__(self, pixels):
        self.pixels = pixels
        self.coverage = np.zeros(pixels.shape[:2], np.uint8)

    @staticmethod
    def _fixed(points):
        return np.round(np.asarray(points) * (1 << SUBPIXEL_BITS)).astype(np.int32)

    def mask(self, points):
        """Coverage uint8 (H, W) of a closed shape of pixels (n, 2)."""
        mask = np.zeros(self.coverage.shape, np.uint8)
        cv2.fillPoly(mask, [self._fixed(points)], 255, cv2.LINE_AA, SUBPIXEL_BITS)
        return mask

    def fill(self, points, colour, covers=False):
        """Paint a closed shape of pixels (n, 2); `covers` where it lies outside what is painted so far."""
        fixed = [self._fixed(points)]
        cv2.fillPoly(self.pixels, fixed, tuple(map(float, colour)), cv2.LINE_AA, SUBPIXEL_BITS)
        if covers:
            cv2.fillPoly(self.coverage, fixed, 255, cv2.LINE_AA, SUBPIXEL_BITS)

    def lines(self, curves, colour, width=1.0, covers=False):
        """Paint open curves, pixels (n, points, 2), `width` pixels wide; `covers` as for `fill`."""
        for picture, paint in [(self.pixels, tuple(map(float, colour))), (self.coverage, 255)][: 1 + covers]:
            cv2.polylines(
                picture, [self._fixed(curve) for curve in curves], False, paint, max(1, round(width)),
                cv2.LINE_AA, SUBPIXEL_BITS,
            )  # fmt: skip

    def soft(self, points, colour, blur=0.0, opacity=1.0, clip=None, curve_width=None):
        """Blend a shape of pixels (n, 2) with an edge `blur` pixels wide.

        `clip` is a coverage uint8 (H, W) to stay inside, needed where the shape may leave what is painted
        so far; with `curve_width` the points are an open curve.
        """
        points = np.asarray(points, float)
        margin = 2.5 * blur + 2 + (curve_width or 0)
        left, top = np.maximum(np.floor(points.min(0) - margin), 0).astype(int)
        right, bottom = np.ceil(points.max(0) + margin).astype(int)
        right, bottom = min(right, self.coverage.shape[1]), min(bottom, self.coverage.shape[0])
        if left >= right or top >= bottom:
            return
        # A blurred shape has no detail: it is drawn small, which is what makes large blurs cheap.
        small = max(1.0, blur / 2)
        shape = (int(np.ceil((bottom - top) / small)), int(np.ceil((right - left) / small)))
        mask = np.zeros(shape, np.uint8)
        scale = [shape[1] / (right - left), shape[0] / (bottom - top)]
        fixed = [self._fixed((points - [left, top]) * scale)]
        if curve_width is None:
            cv2.fillPoly(mask, fixed, 255, cv2.LINE_AA, SUBPIXEL_BITS)
        else:
            thickness = max(1, round(curve_width / small))
            cv2.polylines(mask, fixed, False, 255, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
        if blur:
            mask = cv2.GaussianBlur(mask, (0, 0), max(blur / small / 1.6, 0.4))
        mask = cv2.resize(mask, (right - left, bottom - top)) if small > 1 else mask
        self._blend((slice(top, bottom), slice(left, right)), mask, colour, opacity, clip)

    def _blend(self, window, mask, colour, opacity, clip):
        if clip is not None:
            mask = cv2.min(mask, clip[window])
        target = self.pixels[window]
        weight = cv2.merge([mask] * 3)
        # uint8 arithmetic: a third of the time of float, and at most one grey level off.
        rest = cv2.multiply(target, cv2.addWeighted(weight, -opacity, weight, 0, 255), scale=1 / 255)
        paint = cv2.multiply(weight, (*map(float, np.clip(colour, 0, 255)), 0.0), scale=opacity / 255)
        cv2.add(rest, paint, target)
