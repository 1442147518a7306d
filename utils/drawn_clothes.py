"""Necks, shoulders and clothes of drawn people."""

import numpy as np

from utils.drawn_canvas import circle, mirrored, mix, shade, smooth


def draw_body(canvas, pose, identity):
    """Neck, shoulders and clothes."""
    unit, skin, cloth = pose.unit, identity.skin, identity.clothes_colour
    broad = 1.78 if identity.woman else 2.08
    neck = (0.41 if identity.woman else 0.51) + 0.3 * (identity.face_width - 0.77)
    sides = [pose.on_outline([(s * neck, 0.5)], 0.1) for s in (-1, 1)]
    root = smooth([(neck * 0.97, 1.0), (neck * 1.02, 1.18), (neck + 0.3, 1.36), (0.6, 2.0)], 5, False)
    roots = [pose.on_body(root * [s, 1]) for s in (-1, 1)]
    skin_shape = np.concatenate([sides[0], roots[0], roots[1][::-1], sides[1]])
    canvas.fill(skin_shape, shade(skin, 0.9), covers=True)
    clip = canvas.mask(skin_shape)
    shadow = [(-neck * 1.3, 0.7), (neck * 1.3, 0.7), (neck * 1.1, 1.1), (0, 1.26), (-neck * 1.1, 1.1)]
    dark = mix(shade(skin, 0.52), (120, 50, 40), 0.15)
    canvas.soft(pose.on_outline(smooth(shadow), 0.2), dark, 0.14 * unit, 0.72, clip)
    for s in (-1, 1):
        bone = pose.on_body(smooth([(s * 0.08, 1.6), (s * 0.3, 1.5), (s * 0.6, 1.46)], 5, False))
        canvas.soft(bone, shade(skin, 0.72), 0.05 * unit, 0.5, clip, curve_width=0.03 * unit)
    line = _neckline(identity, neck)
    shoulder = [
        (neck + 0.42, 1.31),
        (broad * 0.72, 1.44),
        (broad * 0.95, 1.66),
        (broad * 1.05, 2.2),
        (broad * 1.1, 4.8),
    ]
    half = np.concatenate([line[::-1], smooth([line[0], *shoulder], 5, False)])
    canvas.fill(pose.on_body(np.concatenate([half, (half * [-1, 1])[::-1]])), cloth, covers=True)
    _draw_collar(canvas, pose, identity, line, neck)
    for s in (-1, 1):
        fold = [(s * broad * 0.76, 1.9), (s * broad * 0.72, 2.4), (s * broad * 0.76, 4)]
        canvas.soft(
            pose.on_body(smooth(fold, 5, False)),
            shade(cloth, 0.68),
            0.09 * unit,
            0.6,
            curve_width=0.05 * unit,
        )


def _neckline(identity, neck):
    """Right half of the neckline from the shoulder to the middle, head units (n, 2)."""
    side = neck + 0.2
    if identity.clothes == "v":
        return np.array([(side, 1.26), (side * 0.55, 1.6), (0, 1.92)])
    depth = {"crew": 1.5, "shirt": 1.6, "turtleneck": 1.3, "hoodie": 1.5, "scoop": 1.78}[identity.clothes]
    return smooth(
        [(side, 1.26), (side * 0.86, 1.26 + 0.5 * (depth - 1.26)), (side * 0.5, depth - 0.05), (0, depth)],
        5,
        False,
    )


def _draw_collar(canvas, pose, identity, line, neck):
    """What marks the kind of clothes at the neckline."""
    cloth, unit = identity.clothes_colour, pose.unit
    edge = np.concatenate([line, (line * [-1, 1])[::-1]])
    canvas.lines([pose.on_body(np.add(edge, (0, 0.02)))], shade(cloth, 0.85), 0.07 * unit)
    if identity.clothes == "shirt":
        canvas.lines([pose.on_body([(0, 1.6), (0, 4.8)])], shade(cloth, 0.82), 0.025 * unit)
        for s in (-1, 1):
            flap = [
                (s * (neck + 0.03), 1.06),
                (s * (neck + 0.24), 1.24),
                (s * 0.42, 1.8),
                (0, 1.58),
                (s * neck * 0.7, 1.36),
            ]
            canvas.soft(pose.on_body(np.add(flap, (0, 0.06))), shade(cloth, 0.6), 0.06 * unit, 0.5)
            canvas.fill(pose.on_body(flap), shade(cloth, 1.08), covers=True)
        for y in (1.9, 2.4, 2.9, 3.4):
            canvas.fill(pose.on_body(circle((0.06, y), 0.03)), mix(cloth, (255, 255, 255), 0.6))
    elif identity.clothes == "turtleneck":
        roll = mirrored(
            [
                (0, 1.1),
                (neck * 0.7, 1.07),
                (neck * 1.1, 0.96),
                (neck * 1.15, 1.16),
                (neck * 1.2, 1.3),
                (0, 1.46),
            ]
        )
        canvas.fill(pose.on_body(smooth(roll)), shade(cloth, 1.05), covers=True)
        crease = pose.on_body(smooth([(-neck * 1.15, 1.3), (0, 1.45), (neck * 1.15, 1.3)], 6, False))
        canvas.soft(crease, shade(cloth, 0.6), 0.06 * unit, 0.6, curve_width=0.03 * unit)
        canvas.soft(pose.on_body(circle((0, 1.06), neck, 0.16)), shade(cloth, 0.5), 0.1 * unit, 0.5)
    elif identity.clothes == "hoodie":
        for s in (-1, 1):
            hood = [
                (s * (neck + 0.0), 1.0),
                (s * (neck + 0.34), 1.12),
                (s * (neck + 0.42), 1.4),
                (s * 0.3, 1.78),
                (s * 0.1, 1.62),
                (s * neck * 0.9, 1.4),
            ]
            canvas.fill(pose.on_body(smooth(hood)), shade(cloth, 0.86), covers=True)
            canvas.lines([pose.on_body([(s * 0.22, 1.72), (s * 0.25, 2.3)])], (236, 232, 226), 0.035 * unit)
