"""Hair and beards of drawn people: shapes between two guide curves, filled with strands."""

from dataclasses import dataclass

import cv2
import numpy as np

from utils.drawn_canvas import mirrored, mix, resample, shade, smooth

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
    side: float = 0.0  # volume at the sides
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


def covers_ears(identity):
    """Whether the hair hides the ears."""
    style = STYLES[identity.hair_style]
    return style.fall > 0 or style.side > 0.15


def _outer(identity, count):
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
    x = np.sin(angle) * (identity.face_width * 1.01 + style.side * volume)
    return np.stack([x * radius, -0.34 - np.cos(angle) * (0.96 + style.top) * radius], axis=1)


def _fall(identity, sign, tight=0.0):
    """Outer edge of long hair at one side, from the parting down, head units (n, 2)."""
    style, width = STYLES[identity.hair_style], identity.face_width
    below = np.linspace(0.2, style.fall, 6)
    sway = style.wave * np.sin(below * 5.5 + identity.hair_phase)
    long = style.fall > 1
    # Long hair widens towards the shoulders, a bob turns in at its ends.
    spread = 0.13 * np.minimum(below, 1.2) if long else -0.12 * np.linspace(0, 1, 6) ** 2
    crown = [
        (0, -1.3 - style.top), (0.45 * width, -1.25 - style.top), (0.88 * width + 0.5 * style.side, -0.94),
        (width + 0.85 * style.side, -0.45), (width + style.side, -0.1),
    ]  # fmt: skip
    down = np.stack([width + style.side + spread + sway, below], axis=1)
    edge = np.concatenate([crown, down - [tight, 0]]) * [sign, 1]
    if style.curly:
        edge = smooth(edge, 3, False)
        edge[:, 0] += 0.035 * sign * np.sin(np.arange(len(edge)) * 1.7)
    return smooth(edge, 4 if style.curly else 6, False)


def _strand_curves(curves, count, rng):
    """Strands that follow a fan of guide curves (guides, points, 2): float (count, points, 2)."""
    place = np.linspace(0, len(curves) - 1.001, count) + rng.uniform(-0.3, 0.3, count)
    place = np.clip(place, 0, len(curves) - 1.001)
    index = place.astype(int)
    part = (place - index)[:, None, None]
    return curves[index] * (1 - part) + curves[index + 1] * part


def _paint_strands(canvas, curves, identity, count, width, clip):
    """Fine strands along a fan of guide curves, pixels (guides, points, 2), inside a mask uint8 (H, W)."""
    rng = np.random.default_rng(identity.number)
    strands, tone = _strand_curves(curves, count, rng), rng.random(count)
    low = np.maximum(np.floor(strands.min((0, 1))).astype(int) - 3, 0)
    high = np.ceil(strands.max((0, 1))).astype(int) + 3
    if (high <= low).any():
        return
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    before = canvas.pixels[window].copy()
    base = identity.hair_colour
    for start, stop, factor in ((0, 0.3, 0.8), (0.3, 0.55, 0.9), (0.62, 0.8, 1.07), (0.8, 1, 1.16)):
        canvas.lines(strands[(tone >= start) & (tone < stop)], shade(base, factor), width)
    cv2.copyTo(before, cv2.bitwise_not(clip[window]), canvas.pixels[window])


def _paint_curls(canvas, pose, identity, outline, count):
    """Scattered little arcs inside a closed outline of head units (n, 2)."""
    rng = np.random.default_rng(identity.number)
    low, high = outline.min(0), outline.max(0)
    places = low + rng.random((count, 2)) * (high - low)
    contour = outline.astype(np.float32)
    places = places[[cv2.pointPolygonTest(contour, tuple(map(float, p)), True) > 0.05 for p in places]]
    turn = rng.random((len(places), 1)) * 6.3 + np.linspace(0, 3.2, 7)
    radius = 0.04 + 0.035 * rng.random((len(places), 1))
    arcs = places[:, None] + np.stack([np.cos(turn) * radius, np.sin(turn) * radius], axis=2)
    arcs = pose.on_outline(arcs, 0.1)
    for k, factor in enumerate((0.74, 0.84, 0.92, 1.12, 1.22)):
        canvas.lines(arcs[k::5], shade(identity.hair_colour, factor), 0.02 * pose.unit)


def draw_back_hair(canvas, pose, identity):
    """Hair behind the neck, and the bun: painted before everything else."""
    style, colour = STYLES[identity.hair_style], identity.hair_colour
    if identity.hair_style == "bun":
        bun = smooth(mirrored([(0, -1.82), (0.26, -1.74), (0.34, -1.5), (0.24, -1.22), (0, -1.15)]))
        shape = pose.on_outline(bun, -0.3)
        canvas.fill(shape, shade(colour, 0.86), covers=True)
        guides = np.stack([shape[:20], shape[:-21:-1]])
        _paint_strands(canvas, guides, identity, 26, 0.012 * pose.unit, canvas.mask(shape))
    if not style.fall:
        return
    right, left = _fall(identity, 1, 0.03), _fall(identity, -1, 0.03)
    shape = pose.on_outline(np.concatenate([right, [(0, style.fall + 0.1)], left[::-1]]), -0.08)
    canvas.fill(shape, shade(colour, 0.62), covers=True)
    nape = [(-0.5, 0.2), (0.5, 0.2), (0.5, 1.2), (-0.5, 1.2)]
    canvas.soft(pose.on_outline(nape), shade(colour, 0.4), 0.2 * pose.unit, 0.6, canvas.mask(shape))


def _cap(canvas, pose, identity, skin):
    """Hair of the skull between hairline and outline."""
    style, side, count = STYLES[identity.hair_style], identity.hair_side, 40
    hairline = np.array(HAIRLINES[style.line]) * [identity.face_width * side, 1] + [0, identity.hairline_y]
    hairline = resample(smooth(hairline, 6, False)[::side], count)
    outer = _outer(identity, count)
    high = pose.on_outline(outer, -0.05)
    low = pose.on_face(hairline)
    shape, colour, unit = np.concatenate([high, low[::-1]]), identity.hair_colour, pose.unit
    if identity.hair_style == "buzz":
        canvas.soft(shape, mix(colour, identity.skin, 0.25), 0.06 * unit, 0.85, skin)
        return
    if style.line == "crown":
        # Nothing grows on top: one piece above each ear, running out upwards.
        reach = 14
        for piece in (slice(0, reach), slice(count - reach, count)):
            thin = np.abs(np.linspace(-1, 1, count))[piece, None] - np.abs(np.linspace(-1, 1, count))[reach]
            edge = low[piece] + (high[piece] - low[piece]) * np.clip(thin * 4, 0, 1)
            _fill_fan(canvas, low[piece], edge, identity, 40, unit)
        return
    canvas.soft(
        np.add(low, (0, 0.04 * unit)),
        shade(identity.skin, 0.55),
        0.1 * unit,
        0.4,
        skin,
        curve_width=0.1 * unit,
    )
    if style.curly:
        canvas.fill(shape, colour, covers=True)
        _paint_curls(canvas, pose, identity, np.concatenate([outer, hairline[::-1]]), 460)
        return
    swept = outer[np.clip(np.arange(count) + int(style.lean * count * side), 0, count - 1)]
    clip, curves = _fill_fan(canvas, low, high, identity, 150, unit, pose.on_outline(swept, -0.05))
    _shine(canvas, curves[:, 5], colour, unit, clip)
    canvas.soft(low, shade(colour, 0.55), 0.08 * unit, 0.4, clip, curve_width=0.05 * unit)


def _fill_fan(canvas, low, high, identity, count, unit, swept=None):
    """Fill between two edges, pixels (n, 2), with strands from `low` to `swept`; returns mask and guides."""
    shape = np.concatenate([high, low[::-1]])
    canvas.fill(shape, identity.hair_colour, covers=True)
    clip = canvas.mask(shape)
    rise = np.sin(np.linspace(0, 1, 9) * np.pi / 2)[None, :, None]
    curves = low[:, None] * (1 - rise) + (high if swept is None else swept)[:, None] * rise
    _paint_strands(canvas, curves, identity, count, 0.012 * unit, clip)
    return clip, curves


def _shine(canvas, band, colour, unit, clip):
    """A soft band of light along pixels (n, 2)."""
    quarter = len(band) // 4
    bright = mix(shade(colour, 1.35), (255, 246, 232), 0.25)
    canvas.soft(band[quarter:-quarter], bright, 0.16 * unit, 0.42, clip, curve_width=0.11 * unit)


def _lock(canvas, pose, identity, sign, skin):
    """One side of long hair, from the parting over the temple and down before the shoulder."""
    style, width, unit = STYLES[identity.hair_style], identity.face_width, pose.unit
    part = identity.hair_part * identity.hair_side
    outer = _fall(identity, sign)
    below = np.linspace(0.25, style.fall - 0.05, 5)
    sway = 0.7 * style.wave * np.sin(below * 5.5 + identity.hair_phase)
    # The ends of a lock run together.
    taper = np.linspace(0, 1, 5) ** 2 * (0.16 if style.fall > 1 else -0.02)
    inner = [
        (part, -0.95),
        (part + sign * 0.22, -0.88),
        (sign * width * 0.72, -0.62),
        (sign * width * 0.93, -0.2),
    ]
    inner = np.concatenate([inner, np.stack([sign * (width * 0.97 + sway + taper), below], axis=1)])
    inner = resample(smooth(inner, 6, False), 40)
    outer = resample(outer, 40)
    high = pose.on_outline(outer, -0.03)
    low = pose.on_face(inner)
    shape = np.concatenate([high, low[::-1]])
    canvas.soft(low, shade(identity.skin, 0.5), 0.12 * unit, 0.42, skin, curve_width=0.14 * unit)
    canvas.fill(shape, identity.hair_colour, covers=True)
    if style.curly:
        _paint_curls(canvas, pose, identity, np.concatenate([outer, inner[::-1]]), 300)
        return
    clip, along = canvas.mask(shape), np.linspace(0, 1, 6)[:, None, None]
    curves = low * (1 - along) + high * along
    _paint_strands(canvas, curves, identity, 56, 0.012 * unit, clip)
    _shine(canvas, curves[3, 6:34], identity.hair_colour, unit, clip)
    canvas.soft(low, shade(identity.hair_colour, 0.5), 0.1 * unit, 0.45, clip, curve_width=0.06 * unit)
    canvas.soft(
        curves[2:4, 20:].reshape(-1, 2)[[0, 19, -1, 20]],
        shade(identity.hair_colour, 0.7),
        0.1 * unit,
        0.35,
        clip,
    )


def draw_front_hair(canvas, pose, identity, skin):
    """Hair over the forehead and beside the face, painted after the face; `skin` is its mask uint8 (H, W)."""
    style = STYLES[identity.hair_style]
    if style.fall:
        for sign in (-identity.hair_side, identity.hair_side):
            _lock(canvas, pose, identity, sign, skin)
    if style.line:
        _cap(canvas, pose, identity, skin)


def draw_beard(canvas, pose, identity, smile, skin):
    """Stubble, moustache, goatee or full beard, inside the mask of the skin, uint8 (H, W)."""
    style = identity.beard
    if style == "none":
        return
    width, colour, unit = identity.face_width, shade(identity.hair_colour, 0.82), pose.unit
    chin, jaw, mouth = identity.chin_y, identity.jaw_width * identity.face_width, identity.mouth_y
    opacity = 0.3 if style == "stubble" else 0.93
    if style in ("stubble", "full"):
        edge = [
            (0, mouth + 0.17), (0.2, mouth + 0.1), (0.34, mouth - 0.1), (0.5 * width + 0.1, mouth - 0.2),
            (0.86 * width, 0.2), (0.95 * width, -0.1), (width, 0.1), (0.99 * width, 0.3), (jaw * 1.02, 0.62),
            (identity.chin_width + 0.1, chin - 0.08), (identity.chin_width * 0.5, chin + 0.05),
            (0, chin + 0.07),
        ]  # fmt: skip
        canvas.soft(pose.on_face(smooth(mirrored(edge))), colour, 0.05 * unit, opacity, skin)
    if style == "goatee":
        edge = [
            (0, mouth + 0.16),
            (0.16, mouth + 0.13),
            (0.24, chin - 0.15),
            (0.16, chin + 0.03),
            (0, chin + 0.05),
        ]
        canvas.soft(pose.on_face(smooth(mirrored(edge))), colour, 0.04 * unit, opacity, skin)
    top, lift = mouth - 0.19, 0.06 * smile
    tache = [(0, top), (0.13, top - 0.01), (0.27, mouth - 0.07 - lift), (0.34, mouth + 0.06 - lift),
             (0.2, mouth - 0.06 - lift * 0.5), (0, mouth - 0.075)]  # fmt: skip
    canvas.soft(pose.on_face(smooth(mirrored(tache)), 0.05), colour, 0.03 * unit, opacity, skin)
