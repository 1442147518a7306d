"""Hair and beards of drawn people: the haircuts, and shapes between two guide curves, filled with strands.

Lengths are head units (half face heights) unless they are called pixels; `unit` is one of them in pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from utils.synthetic.canvas import Canvas, mirrored, mix, resample, shade, smooth
from utils.synthetic.identity import Identity
from utils.synthetic.pose import Pose

STRAND_WIDTH = 0.012
CAP_POINTS = 40  # of the hairline and of the outline above it
# Parts of the strands (0 to 1) and how they are shaded; the rest keeps the color below them.
STRAND_TONES = ((0, 0.3, 0.8), (0.3, 0.55, 0.9), (0.62, 0.8, 1.07), (0.8, 1, 1.16))
CURL_TONES = (0.74, 0.84, 0.92, 1.12, 1.22)

# From the left ear over the forehead to the right ear; x in face half widths, y in head units.
HAIRLINES = {
    "straight": [
        (-1.02, 0.12), (-0.95, -0.2), (-0.9, -0.5), (-0.74, -0.76), (-0.4, -0.86), (0, -0.88),
        (0.4, -0.86), (0.74, -0.76), (0.9, -0.5), (0.95, -0.2), (1.02, 0.12),
    ],
    "receding": [
        (-1.02, 0.12), (-0.95, -0.2), (-0.9, -0.52), (-0.8, -0.84), (-0.5, -1.06), (0, -0.94),
        (0.5, -1.06), (0.8, -0.84), (0.9, -0.52), (0.95, -0.2), (1.02, 0.12),
    ],
    "part": [
        (-1.02, 0.12), (-0.95, -0.2), (-0.89, -0.54), (-0.72, -0.84), (-0.45, -0.96), (0.0, -0.84),
        (0.45, -0.7), (0.8, -0.56), (0.93, -0.3), (1.02, 0.12),
    ],
    "fringe": [
        (-1.02, 0.14), (-0.97, -0.1), (-0.9, -0.36), (-0.5, -0.47), (0, -0.5), (0.5, -0.47),
        (0.9, -0.36), (0.97, -0.1), (1.02, 0.14),
    ],
    "side fringe": [
        (-1.02, 0.14), (-0.96, -0.2), (-0.86, -0.62), (-0.55, -0.82), (0, -0.7), (0.5, -0.56),
        (0.88, -0.38), (0.97, -0.08), (1.02, 0.14),
    ],
    "crown": [
        (-1.02, 0.12), (-0.96, -0.2), (-0.92, -0.5), (-0.85, -0.8), (-0.6, -1.04), (0, -1.2),
        (0.6, -1.04), (0.85, -0.8), (0.92, -0.5), (0.96, -0.2), (1.02, 0.12),
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Style:
    """A haircut; lengths in head units."""

    line: str | None  # the hairline; None: parted locks frame the face
    top: float = 0.0  # volume on top
    sides: float = 0.0  # volume at the sides
    lean: float = 0.0  # how far strands sweep along the head, in parts of the hairline
    fall: float = 0.0  # where long hair ends, below the middle of the face
    wave: float = 0.0
    curly: bool = False


STYLES = {
    "crop": Style("straight", 0.08, 0.02, 0.06),
    "buzz": Style("straight", 0.02, 0.0),
    "side part": Style("part", 0.17, 0.04, 0.3),
    "quiff": Style("receding", 0.27, 0.02, 0.14),
    "receding": Style("receding", 0.07, 0.03),
    "bald crown": Style("crown", 0.0, 0.07),
    "bald": Style(None),
    "mop": Style("fringe", 0.16, 0.12, 0.08),
    "curls": Style("straight", 0.26, 0.17, curly=True),
    "afro": Style("straight", 0.44, 0.42, curly=True),
    "pixie": Style("side fringe", 0.17, 0.06, 0.34),
    "bun": Style("straight", 0.06, 0.02),
    "bob": Style(None, 0.14, 0.17, fall=0.82),
    "bob fringe": Style("fringe", 0.14, 0.17, 0.05, fall=0.86),
    "long": Style(None, 0.12, 0.14, fall=2.0),
    "long fringe": Style("side fringe", 0.14, 0.15, 0.25, fall=1.9),
    "waves": Style(None, 0.17, 0.2, fall=1.85, wave=0.06),
    "long curls": Style(None, 0.26, 0.34, fall=1.5, wave=0.06, curly=True),
}


def covers_ears(identity: Identity) -> bool:
    """Whether the hair hides the ears."""
    style = STYLES[identity.hair_style]
    return style.fall > 0 or style.sides > 0.15


def _outer(identity: Identity, count: int) -> np.ndarray:
    """Outline of the hair over the skull from the left ear to the right one, head units (count, 2)."""
    style, phase = STYLES[identity.hair_style], identity.hair_phase
    angle = np.linspace(-1.76, 1.76, count)
    radius = np.ones(count)
    if style.curly:
        radius += 0.03 * np.abs(np.sin(angle * 6.5 + phase)) + 0.012 * np.sin(angle * 17)
    elif style.top > 0.1:
        radius += 0.02 * np.sin(2 * angle + phase)
    # Volume begins beside the crown and rounds off at the ears.
    volume = np.sqrt(np.minimum(np.abs(angle), 1)) * np.sqrt(np.clip((1.84 - np.abs(angle)) / 0.6, 0, 1))
    x = np.sin(angle) * (identity.face_width * 1.01 + style.sides * volume)
    return np.stack([x * radius, -0.34 - np.cos(angle) * (0.96 + style.top) * radius], axis=1)


def _fall(identity: Identity, side: int, tight: float = 0.0) -> np.ndarray:
    """Outer edge of long hair at a side (-1, 1), from the parting down, (n, 2); `tight` draws its length in."""
    style, width = STYLES[identity.hair_style], identity.face_width
    below = np.linspace(0.2, style.fall, 6)
    sway = style.wave * np.sin(below * 5.5 + identity.hair_phase)
    long = style.fall > 1
    # Long hair widens toward the shoulders, a bob turns in at its ends.
    spread = 0.13 * np.minimum(below, 1.2) if long else -0.12 * np.linspace(0, 1, 6) ** 2
    crown = [
        (0, -1.3 - style.top), (0.45 * width, -1.25 - style.top), (0.88 * width + 0.5 * style.sides, -0.94),
        (width + 0.85 * style.sides, -0.45), (width + style.sides, -0.1),
    ]  # fmt: skip
    down = np.stack([width + style.sides + spread + sway, below], axis=1)
    edge = np.concatenate([crown, down - [tight, 0]]) * [side, 1]
    if style.curly:
        edge = smooth(edge, 3, closed=False)
        edge[:, 0] += 0.035 * side * np.sin(np.arange(len(edge)) * 1.7)
    return smooth(edge, 4 if style.curly else 6, closed=False)


def _strand_curves(curves: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Strands that follow a fan of guide curves (guides, points, 2): float (count, points, 2)."""
    # Just below the last guide, so that there is always a next one.
    place = np.linspace(0, len(curves) - 1.001, count) + rng.uniform(-0.3, 0.3, count)
    place = np.clip(place, 0, len(curves) - 1.001)
    index = place.astype(int)
    part = (place - index)[:, None, None]
    return curves[index] * (1 - part) + curves[index + 1] * part


def _paint_strands(
    canvas: Canvas, curves: np.ndarray, identity: Identity, count: int, width: float, clip: np.ndarray
) -> None:
    """Fine strands along a fan of guide curves, pixels (guides, points, 2), inside a mask uint8 (H, W)."""
    rng = np.random.default_rng(identity.number)
    strands, tone = _strand_curves(curves, count, rng), rng.random(count)
    low = np.maximum(np.floor(strands.min((0, 1))).astype(int) - 3, 0)
    high = np.ceil(strands.max((0, 1))).astype(int) + 3
    if (high <= low).any():
        return
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    before = canvas.pixels[window].copy()
    base = identity.hair_color
    for start, stop, factor in STRAND_TONES:
        canvas.lines(strands[(tone >= start) & (tone < stop)], shade(base, factor), width)
    cv2.copyTo(before, cv2.bitwise_not(clip[window]), canvas.pixels[window])


def _paint_curls(canvas: Canvas, pose: Pose, identity: Identity, outline: np.ndarray, count: int) -> None:
    """Scattered little arcs inside a closed outline (n, 2)."""
    rng = np.random.default_rng(identity.number)
    low, high = outline.min(0), outline.max(0)
    places = low + rng.random((count, 2)) * (high - low)
    contour = outline.astype(np.float32)
    places = places[[cv2.pointPolygonTest(contour, tuple(map(float, p)), True) > 0.05 for p in places]]
    turn = rng.random((len(places), 1)) * 6.3 + np.linspace(0, 3.2, 7)
    radius = 0.04 + 0.035 * rng.random((len(places), 1))
    arcs = places[:, None] + np.stack([np.cos(turn) * radius, np.sin(turn) * radius], axis=2)
    arcs = pose.on_outline(arcs, 0.1)
    for k, factor in enumerate(CURL_TONES):
        canvas.lines(arcs[k :: len(CURL_TONES)], shade(identity.hair_color, factor), 0.02 * pose.unit)


def draw_back_hair(canvas: Canvas, pose: Pose, identity: Identity) -> None:
    """Paint hair behind the neck, and the bun; it goes before everything else."""
    style, color = STYLES[identity.hair_style], identity.hair_color
    if identity.hair_style == "bun":
        bun = smooth(mirrored([(0, -1.82), (0.26, -1.74), (0.34, -1.5), (0.24, -1.22), (0, -1.15)]))
        shape = pose.on_outline(bun, -0.3)
        canvas.fill(shape, shade(color, 0.86), covers=True)
        guides = np.stack([shape[:20], shape[:-21:-1]])
        _paint_strands(canvas, guides, identity, 26, STRAND_WIDTH * pose.unit, canvas.mask(shape))
    if not style.fall:
        return
    right, left = _fall(identity, 1, 0.03), _fall(identity, -1, 0.03)
    shape = pose.on_outline(np.concatenate([right, [(0, style.fall + 0.1)], left[::-1]]), -0.08)
    canvas.fill(shape, shade(color, 0.62), covers=True)
    nape = [(-0.5, 0.2), (0.5, 0.2), (0.5, 1.2), (-0.5, 1.2)]
    canvas.soft(pose.on_outline(nape), shade(color, 0.4), 0.2 * pose.unit, 0.6, canvas.mask(shape))


def _cap(canvas: Canvas, pose: Pose, identity: Identity, skin: np.ndarray) -> None:
    """Hair of the skull between hairline and outline."""
    style, side, color, unit = STYLES[identity.hair_style], identity.hair_side, identity.hair_color, pose.unit
    hairline = np.array(HAIRLINES[style.line]) * [identity.face_width * side, 1] + [0, identity.hairline_y]
    hairline = resample(smooth(hairline, 6, closed=False)[::side], CAP_POINTS)
    outer = _outer(identity, CAP_POINTS)
    high = pose.on_outline(outer, -0.05)
    low = pose.on_face(hairline)
    shape = np.concatenate([high, low[::-1]])
    if identity.hair_style == "buzz":
        canvas.soft(shape, mix(color, identity.skin, 0.25), 0.06 * unit, 0.85, skin)
        return
    if style.line == "crown":
        _fill_sides(canvas, low, high, identity, unit)
        return
    below = np.add(low, (0, 0.04 * unit))
    canvas.soft(below, shade(identity.skin, 0.55), 0.1 * unit, 0.4, skin, curve_width=0.1 * unit)
    if style.curly:
        canvas.fill(shape, color, covers=True)
        _paint_curls(canvas, pose, identity, np.concatenate([outer, hairline[::-1]]), 460)
        return
    swept = outer[np.clip(np.arange(CAP_POINTS) + int(style.lean * CAP_POINTS * side), 0, CAP_POINTS - 1)]
    clip, curves = _fill_fan(canvas, low, high, identity, 150, unit, pose.on_outline(swept, -0.05))
    _shine(canvas, curves[:, 5], color, unit, clip)
    canvas.soft(low, shade(color, 0.55), 0.08 * unit, 0.4, clip, curve_width=0.05 * unit)


def _fill_sides(canvas: Canvas, low: np.ndarray, high: np.ndarray, identity: Identity, unit: float) -> None:
    """A bald crown: one piece of the cap above each ear, running out upward; edges in pixels (n, 2)."""
    count, reach = len(low), 14
    for piece in (slice(0, reach), slice(count - reach, count)):
        thin = np.abs(np.linspace(-1, 1, count))[piece, None] - np.abs(np.linspace(-1, 1, count))[reach]
        edge = low[piece] + (high[piece] - low[piece]) * np.clip(thin * 4, 0, 1)
        _fill_fan(canvas, low[piece], edge, identity, 40, unit)


def _fill_fan(
    canvas: Canvas,
    low: np.ndarray,
    high: np.ndarray,
    identity: Identity,
    count: int,
    unit: float,
    swept: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Fill between two edges, pixels (n, 2), with strands from `low` to `swept`; returns mask and guides."""
    shape = np.concatenate([high, low[::-1]])
    canvas.fill(shape, identity.hair_color, covers=True)
    clip = canvas.mask(shape)
    rise = np.sin(np.linspace(0, 1, 9) * np.pi / 2)[None, :, None]
    curves = low[:, None] * (1 - rise) + (high if swept is None else swept)[:, None] * rise
    _paint_strands(canvas, curves, identity, count, STRAND_WIDTH * unit, clip)
    return clip, curves


def _shine(canvas: Canvas, band: np.ndarray, color: tuple, unit: float, clip: np.ndarray) -> None:
    """A soft band of light along pixels (n, 2)."""
    quarter = len(band) // 4
    bright = mix(shade(color, 1.35), (255, 246, 232), 0.25)
    canvas.soft(band[quarter:-quarter], bright, 0.16 * unit, 0.42, clip, curve_width=0.11 * unit)


def _lock(canvas: Canvas, pose: Pose, identity: Identity, side: int, skin: np.ndarray) -> None:
    """One side of long hair, from the parting over the temple and down before the shoulder."""
    style, width, unit = STYLES[identity.hair_style], identity.face_width, pose.unit
    part = identity.hair_part * identity.hair_side
    outer = _fall(identity, side)
    below = np.linspace(0.25, style.fall - 0.05, 5)
    sway = 0.7 * style.wave * np.sin(below * 5.5 + identity.hair_phase)
    # The ends of a lock run together.
    taper = np.linspace(0, 1, 5) ** 2 * (0.16 if style.fall > 1 else -0.02)
    inner = [
        (part, -0.95),
        (part + side * 0.22, -0.88),
        (side * width * 0.72, -0.62),
        (side * width * 0.93, -0.2),
    ]
    inner = np.concatenate([inner, np.stack([side * (width * 0.97 + sway + taper), below], axis=1)])
    inner = resample(smooth(inner, 6, closed=False), 40)
    outer = resample(outer, 40)
    high = pose.on_outline(outer, -0.03)
    low = pose.on_face(inner)
    shape = np.concatenate([high, low[::-1]])
    canvas.soft(low, shade(identity.skin, 0.5), 0.12 * unit, 0.42, skin, curve_width=0.14 * unit)
    canvas.fill(shape, identity.hair_color, covers=True)
    if style.curly:
        _paint_curls(canvas, pose, identity, np.concatenate([outer, inner[::-1]]), 300)
        return
    clip, along = canvas.mask(shape), np.linspace(0, 1, 6)[:, None, None]
    curves = low * (1 - along) + high * along
    _paint_strands(canvas, curves, identity, 56, STRAND_WIDTH * unit, clip)
    _shine(canvas, curves[3, 6:34], identity.hair_color, unit, clip)
    canvas.soft(low, shade(identity.hair_color, 0.5), 0.1 * unit, 0.45, clip, curve_width=0.06 * unit)
    canvas.soft(
        curves[2:4, 20:].reshape(-1, 2)[[0, 19, -1, 20]],
        shade(identity.hair_color, 0.7),
        0.1 * unit,
        0.35,
        clip,
    )


def draw_front_hair(canvas: Canvas, pose: Pose, identity: Identity, skin: np.ndarray) -> None:
    """Paint hair over the forehead and beside the face, after the face; `skin` is its mask uint8 (H, W)."""
    style = STYLES[identity.hair_style]
    if style.fall:
        for side in (-identity.hair_side, identity.hair_side):
            _lock(canvas, pose, identity, side, skin)
    if style.line:
        _cap(canvas, pose, identity, skin)


def draw_beard(canvas: Canvas, pose: Pose, identity: Identity, smile: float, skin: np.ndarray) -> None:
    """Paint stubble, mustache, goatee or full beard, inside the mask of the skin, uint8 (H, W).

    smile: 0 to 1; it lifts the ends of the mustache.
    """
    style = identity.beard
    if style == "none":
        return
    width, color, unit = identity.face_width, shade(identity.hair_color, 0.82), pose.unit
    chin, jaw, mouth = identity.chin_y, identity.jaw_width * identity.face_width, identity.mouth_y
    opacity = 0.3 if style == "stubble" else 0.93
    if style in ("stubble", "full"):
        edge = [
            (0, mouth + 0.17), (0.2, mouth + 0.1), (0.34, mouth - 0.1), (0.5 * width + 0.1, mouth - 0.2),
            (0.86 * width, 0.2), (0.95 * width, -0.1), (width, 0.1), (0.99 * width, 0.3), (jaw * 1.02, 0.62),
            (identity.chin_width + 0.1, chin - 0.08), (identity.chin_width * 0.5, chin + 0.05),
            (0, chin + 0.07),
        ]  # fmt: skip
        canvas.soft(pose.on_face(smooth(mirrored(edge))), color, 0.05 * unit, opacity, skin)
    if style == "goatee":
        edge = [
            (0, mouth + 0.16),
            (0.16, mouth + 0.13),
            (0.24, chin - 0.15),
            (0.16, chin + 0.03),
            (0, chin + 0.05),
        ]
        canvas.soft(pose.on_face(smooth(mirrored(edge))), color, 0.04 * unit, opacity, skin)
    top, lift = mouth - 0.19, 0.06 * smile
    mustache = [(0, top), (0.13, top - 0.01), (0.27, mouth - 0.07 - lift), (0.34, mouth + 0.06 - lift),
             (0.2, mouth - 0.06 - lift * 0.5), (0, mouth - 0.075)]  # fmt: skip
    canvas.soft(pose.on_face(smooth(mirrored(mustache)), 0.05), color, 0.03 * unit, opacity, skin)
