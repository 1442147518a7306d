"""Necks, shoulders and clothes of drawn people, painted over the hair behind and under the head.

Lengths are head units (half face heights) in the coordinates of `Pose.on_body`; colors are RGB, 0 to 255.
"""

import numpy as np

from utils.synthetic.canvas import Canvas, circle, mirrored, mix, shade, smooth
from utils.synthetic.identity import Identity
from utils.synthetic.pose import Pose

SHOULDER_Y = 1.26  # where a neckline leaves the neck
HEM_Y = 4.8  # clothes end below every picture
NECKLINE_DEPTHS = {"crew": 1.5, "shirt": 1.6, "turtleneck": 1.3, "hoodie": 1.5, "scoop": 1.78}  # in the middle
MEAN_FACE_WIDTH = 0.77  # wider faces have thicker necks


def draw_body(canvas: Canvas, pose: Pose, identity: Identity) -> None:
    """Paint neck, shoulders and clothes."""
    neck = (0.41 if identity.woman else 0.51) + 0.3 * (identity.face_width - MEAN_FACE_WIDTH)
    _draw_neck(canvas, pose, identity, neck)
    neckline = _neckline(identity, neck)
    _draw_shoulders(canvas, pose, identity, neckline, neck)


def _draw_neck(canvas: Canvas, pose: Pose, identity: Identity, neck: float) -> None:
    """Neck down to the collarbones, in the shadow of the chin; `neck` is its half width."""
    unit, skin = pose.unit, identity.skin
    edges = [pose.on_outline([(side * neck, 0.5)], 0.1) for side in (-1, 1)]
    root = smooth([(neck * 0.97, 1.0), (neck * 1.02, 1.18), (neck + 0.3, 1.36), (0.6, 2.0)], 5, closed=False)
    roots = [pose.on_body(root * [side, 1]) for side in (-1, 1)]
    shape = np.concatenate([edges[0], roots[0], roots[1][::-1], edges[1]])
    canvas.fill(shape, shade(skin, 0.9), covers=True)
    clip = canvas.mask(shape)
    shadow = [(-neck * 1.3, 0.7), (neck * 1.3, 0.7), (neck * 1.1, 1.1), (0, 1.26), (-neck * 1.1, 1.1)]
    dark = mix(shade(skin, 0.52), (120, 50, 40), 0.15)
    canvas.soft(pose.on_outline(smooth(shadow), 0.2), dark, 0.14 * unit, 0.72, clip)
    for side in (-1, 1):
        bone = pose.on_body(smooth([(side * 0.08, 1.6), (side * 0.3, 1.5), (side * 0.6, 1.46)], 5, closed=False))
        canvas.soft(bone, shade(skin, 0.72), 0.05 * unit, 0.5, clip, curve_width=0.03 * unit)


def _draw_shoulders(canvas: Canvas, pose: Pose, identity: Identity, neckline: np.ndarray, neck: float) -> None:
    """The garment below its neckline (n, 2): cloth, collar, and a fold above each arm."""
    unit, cloth = pose.unit, identity.clothes_color
    broad = 1.78 if identity.woman else 2.08
    shoulder = [
        (neck + 0.42, 1.31), (broad * 0.72, 1.44), (broad * 0.95, 1.66), (broad * 1.05, 2.2), (broad * 1.1, HEM_Y),
    ]  # fmt: skip
    half = np.concatenate([neckline[::-1], smooth([neckline[0], *shoulder], 5, closed=False)])
    canvas.fill(pose.on_body(np.concatenate([half, (half * [-1, 1])[::-1]])), cloth, covers=True)
    _draw_collar(canvas, pose, identity, neckline, neck)
    for side in (-1, 1):
        fold = [(side * broad * 0.76, 1.9), (side * broad * 0.72, 2.4), (side * broad * 0.76, 4)]
        fold = pose.on_body(smooth(fold, 5, closed=False))
        canvas.soft(fold, shade(cloth, 0.68), 0.09 * unit, 0.6, curve_width=0.05 * unit)


def _neckline(identity: Identity, neck: float) -> np.ndarray:
    """Right half of the neckline from the shoulder to the middle, head units (n, 2)."""
    side = neck + 0.2
    if identity.clothes == "v":
        return np.array([(side, SHOULDER_Y), (side * 0.55, 1.6), (0, 1.92)])
    depth = NECKLINE_DEPTHS[identity.clothes]
    halfway = SHOULDER_Y + 0.5 * (depth - SHOULDER_Y)
    points = [(side, SHOULDER_Y), (side * 0.86, halfway), (side * 0.5, depth - 0.05), (0, depth)]
    return smooth(points, 5, closed=False)


def _draw_collar(canvas: Canvas, pose: Pose, identity: Identity, neckline: np.ndarray, neck: float) -> None:
    """The seam of the neckline (n, 2) and what marks the kind of clothes there."""
    cloth = identity.clothes_color
    edge = np.concatenate([neckline, (neckline * [-1, 1])[::-1]])
    canvas.lines([pose.on_body(np.add(edge, (0, 0.02)))], shade(cloth, 0.85), 0.07 * pose.unit)
    if identity.clothes == "shirt":
        _draw_shirt_collar(canvas, pose, cloth, neck)
    elif identity.clothes == "turtleneck":
        _draw_turtleneck(canvas, pose, cloth, neck)
    elif identity.clothes == "hoodie":
        _draw_hood(canvas, pose, cloth, neck)


def _draw_shirt_collar(canvas: Canvas, pose: Pose, cloth: tuple, neck: float) -> None:
    """Two flaps with their shadows, and buttons beside the seam."""
    unit = pose.unit
    canvas.lines([pose.on_body([(0, 1.6), (0, HEM_Y)])], shade(cloth, 0.82), 0.025 * unit)
    for side in (-1, 1):
        flap = [
            (side * (neck + 0.03), 1.06), (side * (neck + 0.24), 1.24), (side * 0.42, 1.8), (0, 1.58),
            (side * neck * 0.7, 1.36),
        ]  # fmt: skip
        canvas.soft(pose.on_body(np.add(flap, (0, 0.06))), shade(cloth, 0.6), 0.06 * unit, 0.5)
        canvas.fill(pose.on_body(flap), shade(cloth, 1.08), covers=True)
    for y in (1.9, 2.4, 2.9, 3.4):
        canvas.fill(pose.on_body(circle((0.06, y), 0.03)), mix(cloth, (255, 255, 255), 0.6))


def _draw_turtleneck(canvas: Canvas, pose: Pose, cloth: tuple, neck: float) -> None:
    """A rolled collar, its crease, and the shade inside it."""
    unit = pose.unit
    roll = [
        (0, 1.1), (neck * 0.7, 1.07), (neck * 1.1, 0.96), (neck * 1.15, 1.16), (neck * 1.2, 1.3), (0, 1.46),
    ]  # fmt: skip
    canvas.fill(pose.on_body(smooth(mirrored(roll))), shade(cloth, 1.05), covers=True)
    crease = pose.on_body(smooth([(-neck * 1.15, 1.3), (0, 1.45), (neck * 1.15, 1.3)], 6, closed=False))
    canvas.soft(crease, shade(cloth, 0.6), 0.06 * unit, 0.6, curve_width=0.03 * unit)
    canvas.soft(pose.on_body(circle((0, 1.06), neck, 0.16)), shade(cloth, 0.5), 0.1 * unit, 0.5)


def _draw_hood(canvas: Canvas, pose: Pose, cloth: tuple, neck: float) -> None:
    """A hood laid back on the shoulders, with its two cords."""
    for side in (-1, 1):
        hood = [
            (side * neck, 1.0), (side * (neck + 0.34), 1.12), (side * (neck + 0.42), 1.4), (side * 0.3, 1.78),
            (side * 0.1, 1.62), (side * neck * 0.9, 1.4),
        ]  # fmt: skip
        canvas.fill(pose.on_body(smooth(hood)), shade(cloth, 0.86), covers=True)
        cord = pose.on_body([(side * 0.22, 1.72), (side * 0.25, 2.3)])
        canvas.lines([cord], (236, 232, 226), 0.035 * pose.unit)
