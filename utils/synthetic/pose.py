"""Where a drawn head is in the picture: from head coordinates to pixels.

Head coordinates are in half face heights, x to the right of the picture and y down, with (0, 0) in the middle
of the face: the hairline is near y = -1 and the chin near y = 1.
"""

import numpy as np
from numpy.typing import ArrayLike

from utils.synthetic.identity import Shot

FACE_DEPTH = 0.7  # head units from the cylinder's axis to the middle of the face
FACE_SPREAD = 1.06  # the cylinder is a little wider than the face, so that the cheeks are not its edge
SKULL_TOP_Y, SKULL_RADIUS = -0.35, 1.06  # where the skull begins to close, and over how much it does
BODY_SHARE = 0.2  # how much of the head's roll the shoulders follow


class Pose:
    """Maps head coordinates to pixels.

    The face is the front of an upright cylinder of elliptical section, so a turn moves what is near the
    nose most and folds the far cheek away. The outline hardly changes when a head turns: only the chin,
    which lies forward, swings.
    """

    def __init__(self, shot: Shot, face_width: float, center_xy: ArrayLike, unit: float) -> None:
        """Angles in degrees from `shot`; face_width in head units; center_xy and unit (1.0) in pixels."""
        self.yaw, self.pitch, self.roll = np.deg2rad([shot.yaw, shot.pitch, shot.roll])
        self.half_width = face_width * FACE_SPREAD
        self.center, self.unit = np.asarray(center_xy, float), float(unit)
        # The angle on the cylinder beyond which the far cheek faces away from the camera.
        self.fold = np.arctan2(np.cos(self.yaw) * self.half_width, abs(np.sin(self.yaw)) * FACE_DEPTH)

    def _pixels(self, x: np.ndarray, y: np.ndarray, roll: float) -> np.ndarray:
        """Rolled, scaled and moved: pixels (..., 2) of head units x and y (...)."""
        cos, sin = np.cos(roll) * self.unit, np.sin(roll) * self.unit
        return np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1) + self.center

    def on_face(self, points: ArrayLike, lift: float = 0.0) -> np.ndarray:
        """Pixels (..., 2) of points (..., 2) on the face, `lift` head units above its surface."""
        points = np.asarray(points, float)
        x, y = points[..., 0], points[..., 1]
        low = -self.fold if self.yaw < 0 else -np.pi / 2
        high = self.fold if self.yaw > 0 else np.pi / 2
        # The skull closes toward the top.
        half_width = self.half_width * np.sqrt(
            np.clip(1 - (np.minimum(y - SKULL_TOP_Y, 0) / SKULL_RADIUS) ** 2, 0.04, 1)
        )
        angle = np.clip(np.arcsin(np.clip(x / half_width, -1, 1)), low, high)
        # It also curves away toward forehead and chin, from its middle at 0.1.
        forward = np.cos(angle) * (FACE_DEPTH * np.sqrt(np.clip(1 - ((y - 0.1) / 1.6) ** 2, 0, 1)) + lift)
        outside = np.sign(x) * np.maximum(np.abs(x) - half_width, 0)
        across = np.sin(angle) * half_width * np.cos(self.yaw) + outside
        return self._pixels(
            across + forward * np.sin(self.yaw),
            y * np.cos(self.pitch) - forward * np.sin(self.pitch),
            self.roll,
        )

    def on_outline(self, points: ArrayLike, depth: ArrayLike = 0.0) -> np.ndarray:
        """Pixels (..., 2) of points (..., 2) on the silhouette.

        `depth` is how far they lie before its plane, head units, one for all or (...).
        """
        points = np.asarray(points, float)
        x, y = points[..., 0] + depth * np.sin(self.yaw), points[..., 1] - depth * np.sin(self.pitch)
        return self._pixels(x, y, self.roll)

    def on_body(self, points: ArrayLike) -> np.ndarray:
        """Pixels (..., 2) of points (..., 2) on neck and shoulders, which follow the head only a little."""
        points = np.asarray(points, float)
        x, y = points[..., 0] + 0.1 * np.sin(self.yaw), points[..., 1]
        # The neck bends at its root, 1.1 below the face's middle, so the shoulders stay under a tilted head.
        shift = 1.1 * (np.sin(self.roll) - np.sin(BODY_SHARE * self.roll))
        return self._pixels(x - shift, y, BODY_SHARE * self.roll)

    def head_coordinates(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unturned head coordinates (x, y) of pixel arrays x and y."""
        dx, dy = (x - self.center[0]) / self.unit, (y - self.center[1]) / self.unit
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        return dx * cos + dy * sin, -dx * sin + dy * cos
