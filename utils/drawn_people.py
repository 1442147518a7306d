"""People who don't exist, drawn with NumPy and OpenCV: faces to test with and to show without asking anyone.

This module owns who somebody is (Identity), how a photo shows them (Shot), the light, the background and
the finished selfie; drawn_face, drawn_hair and drawn_clothes paint the parts. Images are RGB uint8
(H, W, 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from utils.drawn_canvas import Canvas, Pose, mix, shade
from utils.drawn_clothes import draw_body
from utils.drawn_face import (
    draw_brow,
    draw_ears,
    draw_eye,
    draw_glasses,
    draw_mouth,
    draw_nose,
    draw_skin,
    face_outline,
)
from utils.drawn_hair import draw_back_hair, draw_beard, draw_front_hair

Color = tuple[float, float, float]  # RGB, 0 to 255

# From pale to dark.
SKINS = [(250, 216, 194), (244, 204, 176), (238, 193, 160), (226, 176, 138), (208, 154, 114), (184, 128, 90),
         (156, 103, 70), (132, 86, 59), (110, 71, 51)]  # fmt: skip
# From dark to fair, then red: dark skin takes from the beginning.
HAIR_COLORS = [(38, 30, 30), (62, 42, 34), (92, 60, 40), (124, 82, 52), (166, 118, 72), (214, 174, 112),
                (150, 66, 36), (188, 94, 48)]  # fmt: skip
EYE_COLORS = [(74, 48, 32), (98, 66, 38), (122, 96, 52), (86, 116, 84), (82, 124, 158), (112, 138, 150)]
LIPS = [(196, 78, 84), (206, 110, 104), (160, 44, 66), (206, 60, 60)]
GLASSES_COLORS = [(40, 36, 38), (96, 60, 40), (120, 40, 44), (60, 70, 100), (150, 120, 60)]
# What is listed twice is twice as frequent.
BEARDS = ["none", "none", "stubble", "full", "full", "mustache", "goatee"]
EYE_SHADOWS = [None, None, (120, 70, 90), (80, 92, 120), (120, 82, 56)]
CLOTHES = [
    (52, 73, 94), (178, 84, 80), (94, 128, 110), (226, 190, 120), (120, 104, 150), (70, 118, 150),
    (236, 228, 214), (60, 64, 70), (204, 132, 108), (150, 172, 190), (126, 58, 74), (88, 140, 140),
]  # fmt: skip
BACKDROPS = [
    (196, 214, 222), (222, 208, 190), (190, 206, 188), (214, 196, 200),
    (176, 190, 208), (226, 216, 176), (160, 172, 170), (206, 186, 168),
]  # fmt: skip
WOMEN_HAIR = ["bob", "bob fringe", "long", "long fringe", "waves", "long curls", "bun", "pixie", "afro"]
MEN_HAIR = ["crop", "buzz", "side part", "quiff", "receding", "mop", "curls", "bald", "bald crown", "afro"]

GRAY_HAIR = (206, 204, 204)
EARRING_SHARE = 0.4  # of women
LIGHT_STEP = 6  # pixels between the points where light is computed; in between it is interpolated

# What a painting takes around the middle of the face, in half face heights: hair, shoulders, chest.
REACH_SIDES, REACH_ABOVE, REACH_BELOW = 2.4, 2.2, 4.6


@dataclass(frozen=True)
class Identity:
    """What stays the same from photo to photo. Lengths in head units (half face heights)."""

    number: int
    woman: bool
    age: float  # 0 young to 1 old
    skin: Color
    face_width: float
    jaw_width: float  # of face_width
    chin_width: float
    chin_y: float
    hair_style: str
    hair_color: Color
    hair_side: int  # parted at the left (-1) or right (1) of the picture
    hair_part: float
    hair_phase: float
    hairline_y: float
    eye_x: float
    eye_y: float
    eye_width: float
    eye_open: float
    eye_tilt: float
    eye_color: Color
    lid: float
    socket: float
    eye_shadow: Color | None
    brow_y: float  # from the eye
    brow_thickness: float
    brow_tone: float
    brow_arch: float
    brow_slope: float
    brow_length: float
    nose_y: float
    nose_width: float
    nose_tip: float
    bridge: float
    mouth_y: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    lip_color: Color
    ear_size: float
    glasses: str
    glasses_color: Color
    beard: str
    freckles: float
    cheek: float
    clothes: str
    clothes_color: Color
    earrings: bool


@dataclass(frozen=True)
class Shot:
    """What changes from photo to photo. Angles in degrees; the rest in 0 to 1 unless said otherwise."""

    yaw: float = 0.0  # + turns to the right of the picture
    pitch: float = 0.0  # + looks up
    roll: float = 0.0  # + leans to the right of the picture
    smile: float = 0.4
    mouth_open: float = 0.0
    blink: float = 0.0
    brow_raise: float = 0.0  # -1 to 1
    gaze: float = 0.0  # -1 to 1
    light_x: float = -0.4  # -1 from the left to 1 from the right
    light_y: float = -0.5  # -1 from above to 1 from below
    light_strength: float = 0.5
    light_color: tuple[float, float, float] = (1.0, 1.0, 1.0)  # factors of RGB
    brightness: float = 1.0


def _pick(rng: np.random.Generator, choices: Sequence) -> Any:
    """One of the choices, all equally likely."""
    return choices[int(rng.integers(len(choices)))]


def _spread(place: float, low: float, high: float) -> float:
    """A value for a place in 0 to 1, rather near one end than in the middle: people should not look alike."""
    place = 2 * place - 1
    return float(low + (high - low) * (0.5 + 0.5 * np.sign(place) * abs(place) ** 0.5))


def _places(number: int, count: int) -> np.ndarray:
    """Places in 0 to 1, float64 (count,), far from those of neighboring numbers in at least one of them.

    The additive recurrence of Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences" (2018).
    """
    # The root of x**(count + 1) = x + 1, which generalizes the golden ratio; 40 rounds reach float64.
    root = 2.0
    for _ in range(40):
        root = (1 + root) ** (1 / (count + 1))
    return (0.5 + number * root ** -np.arange(1.0, count + 1)) % 1


def _coloring(rng: np.random.Generator, tone: float, woman: bool, age: float) -> dict[str, Any]:
    """Colors of skin, hair, eyes and lips that go together; tone is 0 (pale) to 1 (dark)."""
    tone = tone * (len(SKINS) - 1)
    low = int(tone)
    skin = mix(SKINS[low], SKINS[min(low + 1, len(SKINS) - 1)], tone - low) + rng.uniform(-7, 7, 3)
    hairs = HAIR_COLORS[: 2 if tone > 5 else 4 if tone > 3 else len(HAIR_COLORS)]
    # From 0.62 on people go gray, but never entirely.
    gray = np.clip((age - 0.62) * 2.4, 0, 0.85)
    hair = mix(_pick(rng, hairs), GRAY_HAIR, gray) + rng.uniform(-6, 6, 3)
    painted = _spread(rng.random(), 0.3, 0.9) if woman else _spread(rng.random(), 0.15, 0.4)
    return {
        "skin": tuple(np.clip(skin, 0, 255)),
        "hair_color": tuple(np.clip(hair, 0, 255)),
        "lip_color": tuple(mix(shade(skin, 0.82), _pick(rng, LIPS), painted)),
        "eye_color": _pick(rng, EYE_COLORS if tone < 4 else EYE_COLORS[:3]),
        "eye_shadow": _pick(rng, EYE_SHADOWS) if woman else None,
        "freckles": float(rng.uniform(0.3, 1)) if tone < 3 and rng.random() < 0.3 else 0.0,
    }


def _features(rng: np.random.Generator, woman: bool, places: Sequence[float]) -> dict[str, float]:
    """Shape of head and features; `places` (5,) decide what tells people apart most."""
    ranges = {
        "jaw_width": (0.68, 0.84) if woman else (0.76, 0.91),
        "chin_width": (0.2, 0.36) if woman else (0.26, 0.46),
        "brow_thickness": (0.026, 0.06) if woman else (0.04, 0.095),
        "chin_y": (0.95, 1.08), "face_width": (0.68, 0.87), "hair_part": (0, 0.25), "hair_phase": (0, 6.28),
        "hairline_y": (-0.07, 0.07), "eye_width": (0.128, 0.194), "eye_open": (0.48, 0.78),
        "eye_tilt": (-0.17, 0.17), "lid": (0, 1), "socket": (0.1, 0.55), "brow_y": (-0.29, -0.2),
        "brow_tone": (0, 0.5), "brow_arch": (0, 0.075), "brow_slope": (-0.05, 0), "nose_tip": (0, 1),
        "bridge": (0.045, 0.1), "upper_lip": (0.025, 0.085), "lower_lip": (0.045, 0.115),
        "ear_size": (0.8, 1.25), "cheek": (0.1, 0.5),
    }  # fmt: skip
    shape = {name: _spread(rng.random(), low, high) for name, (low, high) in ranges.items()}
    nose_y, eye_x = _spread(places[0], 0.21, 0.4), _spread(places[1], 0.285, 0.39)
    return shape | {
        "nose_y": nose_y,
        "eye_x": eye_x,
        "nose_width": _spread(places[2], 0.1, 0.26),
        "eye_y": _spread(places[3], -0.16, -0.03),
        "mouth_y": max(_spread(rng.random(), 0.55, 0.71), nose_y + 0.24),
        "mouth_width": _spread(places[4], 0.21, 0.36),
        "brow_length": min(_spread(rng.random(), 0.16, 0.28), eye_x - 0.08),
    }


def draw_identity(seed: int) -> Identity:
    """The person that belongs to a number (0 or more): the same Identity on every machine."""
    rng = np.random.default_rng(seed)
    woman, age = bool(rng.random() < 0.5), float(rng.random() ** 1.35)
    tone, *places = _places(seed, 6)
    return Identity(
        number=int(seed),
        woman=woman,
        age=age,
        hair_style=_pick(rng, WOMEN_HAIR if woman else MEN_HAIR),
        hair_side=_pick(rng, [-1, 1]),
        glasses=_pick(rng, ["none"] * 4 + ["round", "square", "half"]),
        glasses_color=_pick(rng, GLASSES_COLORS),
        beard="none" if woman else _pick(rng, BEARDS),
        clothes=_pick(rng, ["crew", "v", "shirt", "turtleneck", "hoodie"] + ["scoop"] * woman),
        clothes_color=_pick(rng, CLOTHES),
        earrings=woman and bool(rng.random() < EARRING_SHARE),
        **_coloring(rng, tone, woman, age),
        **_features(rng, woman, places),
    )


def random_shot(rng: np.random.Generator) -> Shot:
    """A selfie-like variation of turn, expression and light: mostly frontal, smiling, lit from above."""
    smile = float(np.clip(rng.normal(0.6, 0.3), -0.05, 1.1))
    warmth = rng.normal(0, 0.04)
    return Shot(
        yaw=float(np.clip(rng.normal(0, 8.5), -21, 21)),
        pitch=float(np.clip(rng.normal(0, 4), -9, 9)),
        roll=float(np.clip(rng.normal(0, 5), -13, 13)),
        smile=smile,
        mouth_open=float(rng.uniform(0.2, 0.9)) * bool(rng.random() < 0.45) * (smile > 0.25),
        blink=float(np.clip(rng.normal(0, 0.12), 0, 0.35)),
        brow_raise=float(rng.normal(0, 0.35)),
        gaze=float(rng.normal(0, 0.2)),
        light_x=float(rng.uniform(-0.9, 0.9)),
        light_y=float(rng.uniform(-0.9, -0.1)),
        light_strength=float(rng.uniform(0.2, 0.62)),
        light_color=(1 + warmth, 1.0, 1 - warmth),
        brightness=float(rng.uniform(0.9, 1.05)),
    )


def _lighting(pose: Pose, shot: Shot, shape: tuple[int, int]) -> np.ndarray:
    """Factors float32 (H, W, 3) that give the drawing volume: a lit ellipsoid over lit shoulders."""
    step = LIGHT_STEP
    height, width = shape
    x, y = np.meshgrid(np.arange(0, width + step, step), np.arange(0, height + step, step))
    hx, hy = pose.head_coordinates(x, y)
    # The normals of the ellipsoid; below the chin (1.25) they face the camera.
    nx = np.clip(hx / 1.05 - 0.3 * np.sin(pose.yaw), -1, 1)
    ny = np.clip((hy + 0.1) / 1.5, -1, 1) * (hy < 1.25)
    nz = np.sqrt(np.clip(1 - nx**2 - ny**2, 0.02, 1))
    light = np.array([shot.light_x, shot.light_y, 0.8])
    light /= np.linalg.norm(light)
    lit = np.clip(nx * light[0] + ny * light[1] + nz * light[2], 0, 1)
    lit = cv2.GaussianBlur(lit.astype(np.float32), (0, 0), max(0.12 * pose.unit / step, 0.5))
    factor = shot.brightness * (1 - shot.light_strength * 0.5 + shot.light_strength * 0.58 * lit)
    # Shadows are warm and light is neutral, which keeps skin alive.
    factor = np.stack([factor, factor**1.05, factor**1.1], axis=2) * np.float32(shot.light_color)
    factor = cv2.resize(factor, (x.shape[1] * step, x.shape[0] * step))
    return factor[:height, :width]


def draw_background(rng: np.random.Generator, size_wh: tuple[int, int]) -> np.ndarray:
    """A pleasant place out of focus, with some large shapes and spots of light.

    size_wh: width and height in pixels. Returns RGB uint8 (H, W, 3).
    """
    width, height = size_wh
    # Nothing is sharp, so a fifth of the size will do.
    small = (max(width // 5, 16), max(height // 5, 16))
    base, other = np.array(_pick(rng, BACKDROPS), float), np.array(_pick(rng, BACKDROPS), float)
    x, y = np.meshgrid(np.linspace(0, 1, small[0]), np.linspace(0, 1, small[1]))
    slope = rng.uniform(-0.6, 0.6)
    blend = np.clip(y + slope * (x - 0.5), 0, 1)[..., None]
    image = (base * (1 - blend) + mix(base, shade(other, 0.8), 0.6) * blend).astype(np.float32)
    for _ in range(int(rng.integers(2, 5))):
        color = mix(_pick(rng, BACKDROPS + CLOTHES), base, 0.62)
        left, w = rng.uniform(-0.2, 1) * small[0], rng.uniform(0.1, 0.4) * small[0]
        top, h = rng.uniform(-0.2, 0.8) * small[1], rng.uniform(0.2, 0.9) * small[1]
        cv2.rectangle(image, (int(left), int(top)), (int(left + w), int(top + h)), tuple(color), -1)
    image = cv2.GaussianBlur(image, (0, 0), small[0] * rng.uniform(0.04, 0.07))
    spots = np.zeros(image.shape, np.float32)
    for _ in range(int(rng.integers(0, 14))):
        place = (int(rng.random() * small[0]), int(rng.random() * 0.75 * small[1]))
        layer = np.zeros_like(spots)
        cv2.circle(layer, place, int(rng.uniform(0.03, 0.085) * small[0]), (1.0, 0.97, 0.88), -1, cv2.LINE_AA)
        spots += layer * rng.uniform(8, 30)
    image += cv2.GaussianBlur(spots, (0, 0), 1.3)
    image = cv2.resize(np.clip(image, 0, 255), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 0, 255).astype(np.uint8)


def face_box(
    identity: Identity, shot: Shot, center_xy: ArrayLike, face_height: float, shape: tuple[int, ...] | None = None
) -> tuple[int, int, int, int]:
    """The face's box (x, y, w, h) in pixels, forehead to chin, cheek to cheek.

    center_xy: middle of the face in pixels. face_height: pixels from hairline to chin. shape: (H, W, ...) of
    the image to clip the box to; None does not clip.
    """
    pose = Pose(shot, identity.face_width, center_xy, face_height / 2)
    outline, depth = face_outline(identity)
    # Detectors' boxes begin below the hairline.
    points = pose.on_outline(outline, depth)[outline[:, 1] > -0.85]
    if shape is not None:
        points = np.clip(points, 0, [shape[1], shape[0]])
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return tuple(round(float(v)) for v in (x0, y0, x1 - x0, y1 - y0))


def draw_on(
    image: np.ndarray,
    identity: Identity,
    shot: Shot,
    center_xy: ArrayLike,
    face_height: float,
    oversampling: float = 1.5,
) -> tuple[int, int, int, int]:
    """Paint a person with head, hair, neck and shoulders onto an image, in place.

    image: RGB uint8 (H, W, 3). center_xy: middle of the face in pixels, may lie outside. face_height:
    pixels from hairline to chin. oversampling: 1 (fastest) to 2 (finest lines). Returns the face's box
    (x, y, w, h) in pixels, clipped to the image.
    """
    height, width = image.shape[:2]
    half = face_height / 2
    x, y = center_xy
    left, right = int(max(x - REACH_SIDES * half, 0)), int(min(x + REACH_SIDES * half, width))
    top, bottom = int(max(y - REACH_ABOVE * half, 0)), int(min(y + REACH_BELOW * half, height))
    box = face_box(identity, shot, center_xy, face_height, image.shape)
    if left >= right or top >= bottom:
        return box
    window_center = np.asarray(center_xy, float) - [left, top]
    _paint(image[top:bottom, left:right], identity, shot, window_center, half, oversampling)
    return box


def _paint(
    window: np.ndarray, identity: Identity, shot: Shot, center_xy: np.ndarray, unit: float, oversampling: float
) -> None:
    """Paint and light a person on a window (H, W, 3) in place; center_xy and half face height in pixels."""
    height, width = window.shape[:2]
    # Shapes are antialiased already: even 1 gives smooth edges, and more gives finer lines.
    size = (round(width * oversampling), round(height * oversampling))
    canvas = Canvas(cv2.resize(window, size, interpolation=cv2.INTER_NEAREST))
    # The middle of pixel 0 is at 0, its edge at -0.5, and edges stay where they are.
    center = (center_xy + 0.5) * oversampling - 0.5
    pose = Pose(shot, identity.face_width, center, unit * oversampling)
    draw_person(canvas, pose, identity, shot)
    # Only a halving averages whole pixels.
    method = cv2.INTER_AREA if oversampling == 2 else cv2.INTER_LINEAR
    painted = cv2.resize(canvas.pixels, (width, height), interpolation=method)
    alpha = cv2.resize(canvas.coverage, (width, height), interpolation=method)
    pose = Pose(shot, identity.face_width, center_xy, unit)
    lit = cv2.multiply(painted, _lighting(pose, shot, alpha.shape), dtype=cv2.CV_8U)
    weight = alpha * np.float32(1 / 255)
    # Edge pixels hold some background already, which the person's light must not touch.
    painted = cv2.blendLinear(lit, painted, weight, 1 - weight)
    cv2.copyTo(painted, alpha, window)


def draw_person(canvas: Canvas, pose: Pose, identity: Identity, shot: Shot) -> None:
    """Paint everything on a canvas, in place, from the hair behind to the glasses."""
    draw_back_hair(canvas, pose, identity)
    draw_body(canvas, pose, identity)
    draw_ears(canvas, pose, identity)
    skin = draw_skin(canvas, pose, identity)
    for side in (-1, 1):
        draw_eye(canvas, pose, identity, shot, side)
        draw_brow(canvas, pose, identity, shot, side)
    draw_nose(canvas, pose, identity, shot)
    draw_beard(canvas, pose, identity, shot.smile, skin)
    draw_mouth(canvas, pose, identity, shot)
    draw_front_hair(canvas, pose, identity, skin)
    draw_glasses(canvas, pose, identity)


def add_noise(image: np.ndarray, rng: np.random.Generator, sigma: float) -> None:
    """Sensor noise of `sigma` gray levels, in place; image RGB uint8 (H, W, 3)."""
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(sigma)
    cv2.add(image, noise, image, dtype=cv2.CV_8U)


def draw_selfie(identity: Identity, rng: np.random.Generator, size: int = 480) -> np.ndarray:
    """A photo of one person with a random shot, place and background: RGB uint8 (size, size, 3), size in pixels."""
    image = draw_background(rng, (size, size))
    face_height = size * rng.uniform(0.4, 0.58)
    center = np.array([0.5, 0.5]) * size + rng.uniform(-0.06, 0.06, 2) * size
    draw_on(image, identity, random_shot(rng), center, face_height)
    blur = rng.uniform(0, 0.9)
    # A Gaussian narrower than 0.3 pixels changes next to nothing.
    if blur > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    add_noise(image, rng, rng.uniform(0.5, 4))
    return image
