"""The face of a drawn person, part by part: ears, skin, eyes, brows, nose, mouth and glasses.

Each function paints one part on a canvas, in the pixels of the pose; lengths are in head units (half face
heights). Soft shapes give volume, hard ones give the lines of a drawing.
"""

import numpy as np
from numpy.typing import ArrayLike

from utils.synthetic.canvas import WHITE_SUM, Canvas, circle, glow, mirrored, mix, shade, smooth
from utils.synthetic.hair import covers_ears
from utils.synthetic.identity import Identity, Shot
from utils.synthetic.pose import Pose

WRINKLED_AGE = 0.55  # of 0 to 1
CLOSED_BLINK = 0.85  # of 0 to 1; from here on the eyeball is hidden
MOUTH_GAP = 0.13  # between the lips of a wide open mouth
LIFT_GLASSES = 0.12  # how far glasses stand before the face


def face_outline(identity: Identity) -> tuple[np.ndarray, np.ndarray]:
    """Outline of the head without hair, head units (n, 2), and how far each point lies forward (n,)."""
    w, jaw, chin, y = identity.face_width, identity.jaw_width, identity.chin_width, identity.chin_y
    right = [(0, -1.27), (0.56 * w, -1.15), (0.91 * w, -0.8), (w, -0.38), (0.985 * w, 0.0), (0.94 * w, 0.3),
             (jaw * w, 0.62), (chin * 1.25, y - 0.14), (chin * 0.6, y - 0.02), (0, y)]  # fmt: skip
    outline = smooth(mirrored(right))
    forward = 0.5 * np.clip(outline[:, 1], 0, 1) ** 1.2
    return outline, forward * (1 - 0.8 * np.clip(np.abs(outline[:, 0]) / w, 0, 1) ** 2)


def draw_ears(canvas: Canvas, pose: Pose, identity: Identity) -> None:
    """Paint both ears, if the hair leaves them free."""
    if covers_ears(identity):
        return
    w, size, unit = identity.face_width, identity.ear_size, pose.unit
    for side in (-1, 1):
        # The far ear goes behind the head.
        hidden = np.clip(side * np.sin(pose.yaw) * 2, 0, 1)
        middle = np.array([side * (w * 0.99 - 0.12 * hidden) - 0.12 * np.sin(pose.yaw), 0.02])
        ear = [(0, -0.2), (side * 0.12, -0.2), (side * 0.14, -0.02), (side * 0.08, 0.17), (0, 0.22), (-side * 0.08, 0)]
        points = np.array(ear) * size + middle
        canvas.fill(pose.on_outline(smooth(points)), shade(identity.skin, 0.92), covers=True)
        canvas.soft(
            pose.on_outline(smooth(points * [0.6, 0.62] + middle * [0.4, 0.38])),
            shade(identity.skin, 0.7),
            0.04 * unit,
            0.7,
        )
        if identity.earrings:
            canvas.fill(
                pose.on_outline(circle(np.add(middle, (side * 0.05, 0.27)), 0.035)), (232, 200, 120), covers=True
            )


def draw_skin(canvas: Canvas, pose: Pose, identity: Identity) -> np.ndarray:
    """Paint the head without features; returns its mask, coverage uint8 (H, W) of the canvas."""
    skin = identity.skin
    outline, depth = face_outline(identity)
    shape = pose.on_outline(outline, depth)
    canvas.fill(shape, skin, covers=True)
    clip = canvas.mask(shape)
    for side in (-1, 1):
        _shade_cheek(canvas, pose, identity, clip, side)
    forehead = pose.on_face(circle((0, -0.6), 0.34, 0.5))
    canvas.soft(forehead, glow(skin, 0.4), 0.2 * pose.unit, 0.35, clip)
    if identity.freckles:
        _draw_freckles(canvas, pose, identity)
    if identity.age > WRINKLED_AGE:
        _draw_wrinkles(canvas, pose, identity, clip)
    return clip


def _shade_cheek(canvas: Canvas, pose: Pose, identity: Identity, clip: np.ndarray, side: int) -> None:
    """Blush, the shadow under the cheekbone and the eye socket of one side."""
    unit, skin, w = pose.unit, identity.skin, identity.face_width
    dark = mix(shade(skin, 0.7), (150, 70, 50), 0.12)
    # A blush shows less on dark skin.
    blush = mix(shade(skin, 1.02), (222, 84, 78), 0.2 + 0.25 * sum(skin) / WHITE_SUM)
    apple = pose.on_face(circle((side * 0.43, 0.3), 0.2, 0.8))
    canvas.soft(apple, blush, 0.17 * unit, 0.3 + 0.4 * identity.cheek, clip)
    hollow = [
        (side * w, -0.2), (side * w * 0.9, 0.3), (side * identity.jaw_width * w * 0.9, 0.62), (side * 0.2, 0.98),
        (side * w, 1),
    ]  # fmt: skip
    canvas.soft(pose.on_face(hollow), dark, 0.13 * unit, 0.35, clip)
    socket = pose.on_face(circle((side * identity.eye_x, identity.eye_y - 0.03), 0.2, 0.75))
    canvas.soft(socket, dark, 0.1 * unit, identity.socket, clip)


def _draw_freckles(canvas: Canvas, pose: Pose, identity: Identity) -> None:
    """Spots over nose and cheeks, in the same places in every photo of a person."""
    rng = np.random.default_rng(identity.number)
    count = int(46 * identity.freckles)
    for x, y in rng.normal(0, 1, (count, 2)) * [0.3, 0.09] + [0, 0.18]:
        spot = pose.on_face(circle((x, y), 0.012, 1, 8))
        canvas.soft(spot, shade(identity.skin, 0.66), 0.01 * pose.unit, 0.55)


def _draw_wrinkles(canvas: Canvas, pose: Pose, identity: Identity, clip: np.ndarray) -> None:
    """Lines of the forehead, at the eyes and beside the mouth."""
    strength, dark, unit = (identity.age - 0.5) * 1.1, shade(identity.skin, 0.62), pose.unit
    curves = [[(-0.36, y), (0, y - 0.03), (0.36, y)] for y in (-0.6, -0.7)]
    for side in (-1, 1):
        curves.append([(side * 0.2, 0.36), (side * 0.33, 0.5), (side * 0.36, 0.66)])
        curves.append(
            [
                (side * (identity.eye_x - 0.12), 0.1),
                (side * identity.eye_x, 0.14),
                (side * (identity.eye_x + 0.13), 0.09),
            ]
        )
        curves += [
            [
                (side * (identity.eye_x + 0.2), identity.eye_y + d),
                (side * (identity.eye_x + 0.28), identity.eye_y + 2.2 * d),
            ]
            for d in (-0.03, 0.03)
        ]
    for curve in curves:
        canvas.soft(
            pose.on_face(smooth(curve, 6, closed=False)), dark, 0.02 * unit, strength, clip, curve_width=0.016 * unit
        )


def draw_eye(canvas: Canvas, pose: Pose, identity: Identity, shot: Shot, side: int) -> None:
    """Paint one eye; `side` is -1 for the left of the picture, 1 for the right."""
    unit, skin = pose.unit, identity.skin
    width, tilt = identity.eye_width, identity.eye_tilt
    # A smile narrows the eyes.
    height = width * identity.eye_open * (1 - shot.blink) * (1 - 0.18 * max(shot.smile, 0))
    center = np.array([side * identity.eye_x, identity.eye_y])

    def place(points: ArrayLike) -> np.ndarray:
        """Pixels of points whose unit is half the eye's opening."""
        points = np.asarray(points, float)
        y = points[:, 1] * height - points[:, 0] * tilt * width * 0.6
        return pose.on_face(np.stack([side * points[:, 0] * width, y], axis=1) + center)

    upper = smooth([(-1, 0.15), (-0.62, -0.72), (-0.05, -1), (0.58, -0.75), (1, 0)], 6, closed=False)
    lower = smooth([(1, 0), (0.55, 0.62), (0, 0.78), (-0.55, 0.6), (-1, 0.15)], 6, closed=False)
    if identity.eye_shadow:
        lid = place(np.concatenate([upper * [1.08, 1.5] + [0, -0.15], [(1.0, 0.0), (0.0, -0.2), (-1, 0.15)]]))
        canvas.soft(lid, mix(identity.eye_shadow, shade(skin, 0.7), 0.3), 0.05 * unit, 0.7)
    if shot.blink < CLOSED_BLINK:
        opening = place(np.concatenate([upper, lower]))
        _draw_eyeball(canvas, pose, identity, shot, center, opening, place(upper))
    ink = mix(shade(identity.hair_color, 0.35), (30, 18, 16), 0.6)
    canvas.fill(place(np.concatenate([upper, _lashes(identity)])), ink)
    canvas.lines([place(upper)], ink, (0.022 if identity.woman else 0.016) * unit)
    canvas.soft(place(lower), shade(skin, 0.55), 0.012 * unit, 0.7, curve_width=0.012 * unit)
    _draw_crease(canvas, pose, identity, center, side)


def _lashes(identity: Identity) -> np.ndarray:
    """Upper edge of the lashes from the outer to the inner corner, (n, 2) in units of half the eye's opening."""
    length = 0.12 if identity.woman else 0.07
    outer_end = [(1.16, -0.2 if identity.woman else 0.0)]
    above = [(0.95, -0.28), (0.55, -0.75 - length), (-0.05, -1 - length * 1.4), (-0.62, -0.74 - length), (-1, 0.15)]
    return np.concatenate([outer_end, smooth(above, 5, closed=False)])


def _draw_crease(canvas: Canvas, pose: Pose, identity: Identity, center: np.ndarray, side: int) -> None:
    """The crease of the upper lid, which stays where it is when the eye closes."""
    unit, width = pose.unit, identity.eye_width
    crease = np.array([(-0.85, -0.3), (-0.5, -1.0), (0.05, -1.28), (0.7, -0.95), (1.15, -0.3)])
    crease = crease * [side * width, width * identity.eye_open] + center + [0, -0.02 - 0.02 * identity.lid]
    crease = pose.on_face(smooth(crease, 5, closed=False))
    canvas.soft(crease, shade(identity.skin, 0.58), 0.012 * unit, 0.75, curve_width=0.014 * unit)


def _draw_eyeball(
    canvas: Canvas,
    pose: Pose,
    identity: Identity,
    shot: Shot,
    center: np.ndarray,
    opening: np.ndarray,
    upper: np.ndarray,
) -> None:
    """White, iris, pupil and catchlight inside the opening; opening and upper lid in pixels (n, 2)."""
    unit, width, color = pose.unit, identity.eye_width, identity.eye_color
    clip = canvas.mask(opening)
    canvas.fill(opening, (246, 242, 238))
    # Eyes stay on the camera while the head turns.
    look = shot.gaze * 0.3 - np.sin(pose.yaw) * 0.45
    middle = pose.on_face(np.add(center, (look * width * 0.7, -0.06 * width)))
    radius = 0.5 * width * unit
    canvas.soft(circle(middle, radius), shade(color, 0.5), 0.012 * unit, 1, clip)
    canvas.soft(circle(middle, radius * 0.88), color, 0.012 * unit, 1, clip)
    glow_below = circle(np.add(middle, (0, 0.4 * radius)), radius * 0.5, 0.6)
    canvas.soft(glow_below, shade(color, 1.6), 0.03 * unit, 0.6, clip)
    canvas.soft(circle(middle, radius * 0.45), (18, 12, 12), 0.01 * unit, 1, clip)
    canvas.soft(upper, (60, 40, 44), 0.04 * unit, 0.5, clip, curve_width=0.05 * unit)
    catchlight = circle(middle + np.array([-0.32, -0.34]) * radius, radius * 0.2)
    canvas.soft(catchlight, (255, 255, 255), 0.008 * unit, 0.95, clip)


def draw_brow(canvas: Canvas, pose: Pose, identity: Identity, shot: Shot, side: int) -> None:
    """Paint one eyebrow; `side` is -1 for the left of the picture, 1 for the right."""
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
    shape = smooth(np.concatenate([upper, lower[::-1]])) * [side, 1]
    color = mix(shade(identity.hair_color, 0.62), shade(identity.skin, 0.6), identity.brow_tone)
    canvas.soft(pose.on_face(shape, 0.03), color, 0.02 * pose.unit, 0.92)


def draw_nose(canvas: Canvas, pose: Pose, identity: Identity, shot: Shot) -> None:
    """Paint the nose, shaded away from the light: bridge and tip, then wings and nostrils."""
    dark = mix(shade(identity.skin, 0.62), (140, 60, 44), 0.12)
    _draw_bridge(canvas, pose, identity, shot, dark)
    for side in (-1, 1):
        _draw_nostril(canvas, pose, identity, dark, side)


def _draw_bridge(canvas: Canvas, pose: Pose, identity: Identity, shot: Shot, dark: np.ndarray) -> None:
    """Shadow beside and below the nose, light on its back and tip."""
    unit, y, w = pose.unit, identity.nose_y, identity.nose_width
    light = glow(identity.skin, 0.55)
    shadow_side = 1 if shot.light_x < 0 else -1
    bridge = [
        (shadow_side * identity.bridge, -0.2), (shadow_side * identity.bridge * 0.9, 0.05),
        (shadow_side * w * 0.62, y - 0.04), (shadow_side * w * 0.2, y + 0.02),
    ]  # fmt: skip
    canvas.soft(pose.on_face(smooth(bridge), 0.08), dark, 0.06 * unit, 0.4 + 0.3 * shot.light_strength)
    canvas.soft(pose.on_face(circle((0, y + 0.085), w * 0.85, 0.35), 0.1), dark, 0.05 * unit, 0.55)
    back = pose.on_face([(0, -0.22), (0, 0.0), (0, y - 0.1)], 0.17)
    canvas.soft(back, light, 0.04 * unit, 0.5, curve_width=0.06 * unit)
    tip = circle((-shadow_side * 0.02, y - 0.03), 0.055 + 0.02 * identity.nose_tip)
    canvas.soft(pose.on_face(tip, 0.25), light, 0.05 * unit, 0.65)


def _draw_nostril(canvas: Canvas, pose: Pose, identity: Identity, dark: np.ndarray, side: int) -> None:
    """One wing of the nose and the nostril in it."""
    unit, y, w = pose.unit, identity.nose_y, identity.nose_width
    wing = [
        (side * w * 0.8, y - 0.06), (side * w * 1.04, y + 0.0), (side * w * 0.98, y + 0.07),
        (side * w * 0.7, y + 0.085),
    ]  # fmt: skip
    wing = pose.on_face(smooth(wing, 5, closed=False), 0.08)
    canvas.soft(wing, shade(dark, 0.9), 0.014 * unit, 0.75, curve_width=0.016 * unit)
    nostril = circle((side * w * 0.48, y + 0.07), w * 0.24, 0.38)
    canvas.soft(pose.on_face(nostril, 0.15), shade(identity.skin, 0.36), 0.016 * unit, 0.7)


def _across(half: ArrayLike) -> np.ndarray:
    """Smooth open curve from left to right through mirrored points; `half` (n, 2) runs from the middle."""
    half = np.array(half, float)
    return smooth(np.concatenate([half[:0:-1] * [-1, 1], half]), 5, closed=False)


def _lips(identity: Identity, shot: Shot) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Upper edge, seam, lower side of the opening and lower edge of the lips, head units (n, 2) each."""
    smile, gap = shot.smile, MOUTH_GAP * shot.mouth_open
    w, y = identity.mouth_width * (1 + 0.22 * smile), identity.mouth_y
    upper, lower = identity.upper_lip, identity.lower_lip
    corner = (w, y - 0.025 - 0.11 * smile)
    bow = [(0, y - upper + 0.008 + 0.02 * smile), (w * 0.14, y - upper - 0.01), (w * 0.5, y - upper * 0.85)]
    seam = _across([(0, y + 0.012 + 0.045 * smile), (w * 0.5, y + 0.01 * smile), corner])[::-1]
    opening = seam.copy()
    opening[:, 1] += gap * np.sqrt(np.clip(1 - (seam[:, 0] / w) ** 2, 0, 1))
    bottom = [(0, y + gap + lower + 0.012 + 0.035 * smile), (w * 0.55, y + gap * 0.85 + lower * 0.75), corner]
    return _across([*bow, corner]), seam, opening, _across(bottom)


def draw_mouth(canvas: Canvas, pose: Pose, identity: Identity, shot: Shot) -> None:
    """Paint lips and, if the mouth is open, teeth."""
    unit, lip, skin, gap = pose.unit, identity.lip_color, identity.skin, MOUTH_GAP * shot.mouth_open
    top, seam, low_seam, bottom = _lips(identity, shot)
    corner = seam[0]

    def place(points: ArrayLike) -> np.ndarray:
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
    for side in (-1, 1):
        canvas.soft(place(circle(corner * [side, 1], 0.02)), shade(skin, 0.5), 0.02 * unit, 0.6)


def draw_glasses(canvas: Canvas, pose: Pose, identity: Identity) -> None:
    """Paint frames, bridge and arms, if the person wears any."""
    if identity.glasses == "none":
        return
    unit, color, x, y = pose.unit, identity.glasses_color, identity.eye_x, identity.eye_y + 0.03
    width = 0.016 * unit if identity.glasses == "half" else 0.034 * unit
    for side in (-1, 1):
        if identity.glasses == "round":
            rim = circle((side * x, y), 0.255, 0.95, 32)
        else:
            corners = [(-0.25, -0.13), (0, -0.19), (0.27, -0.16), (0.26, 0.08), (0, 0.2), (-0.22, 0.12)]
            rim = smooth(np.add(corners, (x, y)) * [side, 1])
        rim = pose.on_face(rim, LIFT_GLASSES)
        canvas.soft(rim, (255, 255, 255), 0, 0.1)
        canvas.lines([np.concatenate([rim, rim[:2]])], color, width, covers=True)
        hinge = pose.on_face([(side * (x + 0.25), y - 0.06)], LIFT_GLASSES)
        ear = pose.on_face([(side * max(identity.face_width, x + 0.25), y - 0.04)])
        canvas.lines([np.concatenate([hinge, ear])], color, width, covers=True)
    bridge = smooth([(0.24 - x, y - 0.04), (0, y - 0.09), (x - 0.24, y - 0.04)], 5, closed=False)
    canvas.lines([pose.on_face(bridge, 0.14)], color, width)
