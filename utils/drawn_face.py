"""Faces of drawn people, feature by feature, from the skin up.

Every function paints one part on a canvas, in the pose's pixels; lengths are head units (half face
heights). Soft shapes give volume, hard ones the lines that a drawing needs.
"""

import numpy as np

from utils.drawn_canvas import circle, glow, mirrored, mix, shade, smooth
from utils.drawn_hair import covers_ears


def face_outline(identity):
    """Outline of the head without hair, head units (n, 2), and how far each point lies forward (n,)."""
    w, jaw, chin, y = identity.face_width, identity.jaw_width, identity.chin_width, identity.chin_y
    right = [(0, -1.27), (0.56 * w, -1.15), (0.91 * w, -0.8), (w, -0.38), (0.985 * w, 0.0), (0.94 * w, 0.3),
             (jaw * w, 0.62), (chin * 1.25, y - 0.14), (chin * 0.6, y - 0.02), (0, y)]  # fmt: skip
    outline = smooth(mirrored(right))
    forward = 0.5 * np.clip(outline[:, 1], 0, 1) ** 1.2
    return outline, forward * (1 - 0.8 * np.clip(np.abs(outline[:, 0]) / w, 0, 1) ** 2)


def draw_ears(canvas, pose, identity):
    """Both ears, if the hair leaves them free."""
    if covers_ears(identity):
        return
    w, size, unit = identity.face_width, identity.ear_size, pose.unit
    for s in (-1, 1):
        # The far ear goes behind the head.
        hidden = np.clip(s * np.sin(pose.yaw) * 2, 0, 1)
        middle = np.array([s * (w * 0.99 - 0.12 * hidden) - 0.12 * np.sin(pose.yaw), 0.02])
        ear = [(0, -0.2), (s * 0.12, -0.2), (s * 0.14, -0.02), (s * 0.08, 0.17), (0, 0.22), (-s * 0.08, 0)]
        points = np.array(ear) * size + middle
        canvas.fill(pose.on_outline(smooth(points)), shade(identity.skin, 0.92), covers=True)
        canvas.soft(
            pose.on_outline(smooth(points * [0.6, 0.62] + middle * [0.4, 0.38])),
            shade(identity.skin, 0.7),
            0.04 * unit,
            0.7,
        )
        if identity.earrings:
            canvas.fill(pose.on_outline(circle(np.add(middle, (s * 0.05, 0.27)), 0.035)), (232, 200, 120), covers=True)


def draw_skin(canvas, pose, identity):
    """The head without features; returns its mask uint8 (H, W)."""
    unit, skin, w = pose.unit, identity.skin, identity.face_width
    outline, depth = face_outline(identity)
    shape = pose.on_outline(outline, depth)
    canvas.fill(shape, skin, covers=True)
    clip = canvas.mask(shape)
    dark, blush = (
        mix(shade(skin, 0.7), (150, 70, 50), 0.12),
        mix(shade(skin, 1.02), (222, 84, 78), 0.2 + 0.25 * sum(skin) / 765),
    )
    for s in (-1, 1):
        canvas.soft(
            pose.on_face(circle((s * 0.43, 0.3), 0.2, 0.8)),
            blush,
            0.17 * unit,
            0.3 + 0.4 * identity.cheek,
            clip,
        )
        canvas.soft(
            pose.on_face(
                [
                    (s * w, -0.2),
                    (s * w * 0.9, 0.3),
                    (s * identity.jaw_width * w * 0.9, 0.62),
                    (s * 0.2, 0.98),
                    (s * w, 1),
                ]
            ),
            dark,
            0.13 * unit,
            0.35,
            clip,
        )
        canvas.soft(
            pose.on_face(circle((s * identity.eye_x, identity.eye_y - 0.03), 0.2, 0.75)),
            dark,
            0.1 * unit,
            identity.socket,
            clip,
        )
    canvas.soft(pose.on_face(circle((0, -0.6), 0.34, 0.5)), glow(skin, 0.4), 0.2 * unit, 0.35, clip)
    if identity.freckles:
        rng = np.random.default_rng(identity.number)
        for x, y in rng.normal(0, 1, (int(46 * identity.freckles), 2)) * [0.3, 0.09] + [0, 0.18]:
            canvas.soft(pose.on_face(circle((x, y), 0.012, 1, 8)), shade(skin, 0.66), 0.01 * unit, 0.55)
    if identity.age > 0.55:
        _draw_wrinkles(canvas, pose, identity, clip)
    return clip


def _draw_wrinkles(canvas, pose, identity, clip):
    """Lines of the forehead, at the eyes and beside the mouth."""
    strength, dark, unit = (identity.age - 0.5) * 1.1, shade(identity.skin, 0.62), pose.unit
    curves = [[(-0.36, y), (0, y - 0.03), (0.36, y)] for y in (-0.6, -0.7)]
    for s in (-1, 1):
        curves.append([(s * 0.2, 0.36), (s * 0.33, 0.5), (s * 0.36, 0.66)])
        curves.append(
            [
                (s * (identity.eye_x - 0.12), 0.1),
                (s * identity.eye_x, 0.14),
                (s * (identity.eye_x + 0.13), 0.09),
            ]
        )
        curves += [
            [
                (s * (identity.eye_x + 0.2), identity.eye_y + d),
                (s * (identity.eye_x + 0.28), identity.eye_y + 2.2 * d),
            ]
            for d in (-0.03, 0.03)
        ]
    for curve in curves:
        canvas.soft(pose.on_face(smooth(curve, 6, False)), dark, 0.02 * unit, strength, clip, curve_width=0.016 * unit)


def draw_eye(canvas, pose, identity, shot, s):
    """One eye; s is -1 for the left of the picture, 1 for the right."""
    unit, skin = pose.unit, identity.skin
    width, tilt = identity.eye_width, identity.eye_tilt
    height = width * identity.eye_open * (1 - shot.blink) * (1 - 0.18 * max(shot.smile, 0))
    center = np.array([s * identity.eye_x, identity.eye_y])

    def place(points):
        """Pixels of points whose unit is half the eye's opening."""
        points = np.asarray(points, float)
        y = points[:, 1] * height - points[:, 0] * tilt * width * 0.6
        return pose.on_face(np.stack([s * points[:, 0] * width, y], axis=1) + center)

    upper = smooth([(-1, 0.15), (-0.62, -0.72), (-0.05, -1), (0.58, -0.75), (1, 0)], 6, False)
    lower = smooth([(1, 0), (0.55, 0.62), (0, 0.78), (-0.55, 0.6), (-1, 0.15)], 6, False)
    if identity.eye_shadow:
        lid = place(np.concatenate([upper * [1.08, 1.5] + [0, -0.15], [(1.0, 0.0), (0.0, -0.2), (-1, 0.15)]]))
        canvas.soft(lid, mix(identity.eye_shadow, shade(skin, 0.7), 0.3), 0.05 * unit, 0.7)
    if shot.blink < 0.85:
        opening = place(np.concatenate([upper, lower]))
        _draw_eyeball(canvas, pose, identity, shot, center, opening, place(upper))
    lash = 0.12 if identity.woman else 0.07
    ends = [(1.16, -0.2 if identity.woman else 0.0)]
    above = [(0.95, -0.28), (0.55, -0.75 - lash), (-0.05, -1 - lash * 1.4), (-0.62, -0.74 - lash), (-1, 0.15)]
    ink = mix(shade(identity.hair_colour, 0.35), (30, 18, 16), 0.6)
    canvas.fill(place(np.concatenate([upper, ends, smooth(above, 5, False)])), ink)
    canvas.lines([place(upper)], ink, (0.022 if identity.woman else 0.016) * unit)
    canvas.soft(place(lower), shade(skin, 0.55), 0.012 * unit, 0.7, curve_width=0.012 * unit)
    # The crease stays where it is when the eye closes.
    crease = np.array([(-0.85, -0.3), (-0.5, -1.0), (0.05, -1.28), (0.7, -0.95), (1.15, -0.3)])
    crease = crease * [s * width, width * identity.eye_open] + center + [0, -0.02 - 0.02 * identity.lid]
    crease = pose.on_face(smooth(crease, 5, False))
    canvas.soft(crease, shade(skin, 0.58), 0.012 * unit, 0.75, curve_width=0.014 * unit)


def _draw_eyeball(canvas, pose, identity, shot, center, opening, upper):
    """White, iris, pupil and catchlight inside the opening; opening and upper lid in pixels (n, 2)."""
    unit, width, colour = pose.unit, identity.eye_width, identity.eye_colour
    clip = canvas.mask(opening)
    canvas.fill(opening, (246, 242, 238))
    # Eyes stay on the camera while the head turns.
    look = shot.gaze * 0.3 - np.sin(pose.yaw) * 0.45
    middle = pose.on_face(np.add(center, (look * width * 0.7, -0.06 * width)))
    radius = 0.5 * width * unit
    canvas.soft(circle(middle, radius), shade(colour, 0.5), 0.012 * unit, 1, clip)
    canvas.soft(circle(middle, radius * 0.88), colour, 0.012 * unit, 1, clip)
    glow_below = circle(np.add(middle, (0, 0.4 * radius)), radius * 0.5, 0.6)
    canvas.soft(glow_below, shade(colour, 1.6), 0.03 * unit, 0.6, clip)
    canvas.soft(circle(middle, radius * 0.45), (18, 12, 12), 0.01 * unit, 1, clip)
    canvas.soft(upper, (60, 40, 44), 0.04 * unit, 0.5, clip, curve_width=0.05 * unit)
    catchlight = circle(middle + np.array([-0.32, -0.34]) * radius, radius * 0.2)
    canvas.soft(catchlight, (255, 255, 255), 0.008 * unit, 0.95, clip)


def draw_brow(canvas, pose, identity, shot, s):
    """One eyebrow; `side` as for the eyes."""
    thick, arch, length = identity.brow_thickness, identity.brow_arch, identity.brow_length
    y, slope = identity.eye_y + identity.brow_y - 0.03 * shot.brow_raise, identity.brow_slope
    x = identity.eye_x
    spine = np.array(
        [
            (x - length * 0.95, y + slope),
            (x - length * 0.3, y - arch * 0.5 + slope * 0.3),
            (x + length * 0.35, y - arch * 0.9 - slope * 0.2),
            (x + length * 1.05, y + 0.05 - slope),
        ]
    )
    upper, lower = (
        spine - np.outer([0.4, 0.55, 0.5, 0.0], [0, thick]),
        spine + np.outer([0.5, 0.5, 0.35, 0.05], [0, thick]),
    )
    shape = smooth(np.concatenate([upper, lower[::-1]])) * [s, 1]
    colour = mix(shade(identity.hair_colour, 0.62), shade(identity.skin, 0.6), identity.brow_tone)
    canvas.soft(pose.on_face(shape, 0.03), colour, 0.02 * pose.unit, 0.92)


def draw_nose(canvas, pose, identity, shot):
    """Bridge, wings and tip, shaded away from the light."""
    unit, skin, y, w = pose.unit, identity.skin, identity.nose_y, identity.nose_width
    dark = mix(shade(skin, 0.62), (140, 60, 44), 0.12)
    light = glow(skin, 0.55)
    side = 1 if shot.light_x < 0 else -1
    bridge = [
        (side * identity.bridge, -0.2),
        (side * identity.bridge * 0.9, 0.05),
        (side * w * 0.62, y - 0.04),
        (side * w * 0.2, y + 0.02),
    ]
    canvas.soft(pose.on_face(smooth(bridge), 0.08), dark, 0.06 * unit, 0.4 + 0.3 * shot.light_strength)
    canvas.soft(pose.on_face(circle((0, y + 0.085), w * 0.85, 0.35), 0.1), dark, 0.05 * unit, 0.55)
    canvas.soft(
        pose.on_face([(0, -0.22), (0, 0.0), (0, y - 0.1)], 0.17),
        light,
        0.04 * unit,
        0.5,
        curve_width=0.06 * unit,
    )
    canvas.soft(
        pose.on_face(circle((-side * 0.02, y - 0.03), 0.055 + 0.02 * identity.nose_tip), 0.25),
        light,
        0.05 * unit,
        0.65,
    )
    for s in (-1, 1):
        wing = [
            (s * w * 0.8, y - 0.06),
            (s * w * 1.04, y + 0.0),
            (s * w * 0.98, y + 0.07),
            (s * w * 0.7, y + 0.085),
        ]
        canvas.soft(
            pose.on_face(smooth(wing, 5, False), 0.08),
            shade(dark, 0.9),
            0.014 * unit,
            0.75,
            curve_width=0.016 * unit,
        )
        nostril = circle((s * w * 0.48, y + 0.07), w * 0.24, 0.38)
        canvas.soft(pose.on_face(nostril, 0.15), shade(skin, 0.36), 0.016 * unit, 0.7)


def _across(half):
    """Smooth open curve from left to right through mirrored points; `half` (n, 2) runs from the middle."""
    half = np.array(half, float)
    return smooth(np.concatenate([half[:0:-1] * [-1, 1], half]), 5, False)


def _lips(identity, shot):
    """Upper edge, seam, lower side of the opening and lower edge of the lips, head units (n, 2) each."""
    smile, gap = shot.smile, 0.13 * shot.mouth_open
    w, y = identity.mouth_width * (1 + 0.22 * smile), identity.mouth_y
    upper, lower = identity.upper_lip, identity.lower_lip
    corner = (w, y - 0.025 - 0.11 * smile)
    bow = [(0, y - upper + 0.008 + 0.02 * smile), (w * 0.14, y - upper - 0.01), (w * 0.5, y - upper * 0.85)]
    seam = _across([(0, y + 0.012 + 0.045 * smile), (w * 0.5, y + 0.01 * smile), corner])[::-1]
    opening = seam.copy()
    opening[:, 1] += gap * np.sqrt(np.clip(1 - (seam[:, 0] / w) ** 2, 0, 1))
    bottom = [(0, y + gap + lower + 0.012 + 0.035 * smile), (w * 0.55, y + gap * 0.85 + lower * 0.75), corner]
    return _across([*bow, corner]), seam, opening, _across(bottom)


def draw_mouth(canvas, pose, identity, shot):
    """Lips and, if it is open, teeth."""
    unit, lip, skin, gap = pose.unit, identity.lip_colour, identity.skin, 0.13 * shot.mouth_open
    top, seam, low_seam, bottom = _lips(identity, shot)
    corner = seam[0]

    def place(points):
        return pose.on_face(points, 0.05)

    canvas.soft(
        place(np.add(bottom, (0, 0.07))),
        shade(skin, 0.66),
        0.05 * unit,
        0.45,
        curve_width=0.03 * unit,
    )
    canvas.fill(place(np.concatenate([top, seam])), shade(lip, 0.88))
    if gap > 0.005:
        hole = place(np.concatenate([seam, low_seam[::-1]]))
        canvas.fill(hole, (92, 34, 38))
        teeth = np.concatenate([seam * [0.94, 1], np.add(seam, (0, min(gap * 0.75, 0.06)))[::-1] * [0.8, 1]])
        canvas.soft(place(teeth), (250, 246, 240), 0.01 * unit, 1, canvas.mask(hole))
    canvas.fill(place(np.concatenate([bottom, low_seam])), lip)
    canvas.soft(
        place(circle((0, identity.mouth_y + gap + identity.lower_lip * 0.55 + 0.01), corner[0] * 0.38, 0.16)),
        mix(lip, (255, 240, 236), 0.6),
        0.03 * unit,
        0.55,
    )
    if gap <= 0.03:
        canvas.soft(place(seam), shade(lip, 0.45), 0.012 * unit, 0.85, curve_width=0.016 * unit)
    for s in (-1, 1):
        canvas.soft(place(circle(corner * [s, 1], 0.02)), shade(skin, 0.5), 0.02 * unit, 0.6)


def draw_glasses(canvas, pose, identity):
    """Frames, bridge and arms, if the person wears any."""
    if identity.glasses == "none":
        return
    unit, colour, x, y = pose.unit, identity.glasses_colour, identity.eye_x, identity.eye_y + 0.03
    width = 0.016 * unit if identity.glasses == "half" else 0.034 * unit
    for s in (-1, 1):
        if identity.glasses == "round":
            rim = circle((s * x, y), 0.255, 0.95, 32)
        else:
            corners = [(-0.25, -0.13), (0, -0.19), (0.27, -0.16), (0.26, 0.08), (0, 0.2), (-0.22, 0.12)]
            rim = smooth(np.add(corners, (x, y)) * [s, 1])
        rim = pose.on_face(rim, 0.12)
        canvas.soft(rim, (255, 255, 255), 0, 0.1)
        canvas.lines([np.concatenate([rim, rim[:2]])], colour, width, covers=True)
        hinge = pose.on_face([(s * (x + 0.25), y - 0.06)], 0.12)
        ear = pose.on_face([(s * max(identity.face_width, x + 0.25), y - 0.04)])
        canvas.lines([np.concatenate([hinge, ear])], colour, width, covers=True)
    bridge = smooth([(0.24 - x, y - 0.04), (0, y - 0.09), (x - 0.24, y - 0.04)], 5, False)
    canvas.lines([pose.on_face(bridge, 0.14)], colour, width)
