"""What a drawn person looks like, and how one photo shows them: all choices made before painting starts.

An identity is sampled from palettes and ranges. A number always gives the same person.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.synthetic.canvas import mix, shade

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
# An entry listed twice is twice as likely.
BEARDS = ["none", "none", "stubble", "full", "full", "mustache", "goatee"]
EYE_SHADOWS = [None, None, (120, 70, 90), (80, 92, 120), (120, 82, 56)]
CLOTHES = [
    (52, 73, 94), (178, 84, 80), (94, 128, 110), (226, 190, 120), (120, 104, 150), (70, 118, 150),
    (236, 228, 214), (60, 64, 70), (204, 132, 108), (150, 172, 190), (126, 58, 74), (88, 140, 140),
]  # fmt: skip
WOMEN_HAIR = ["bob", "bob fringe", "long", "long fringe", "waves", "long curls", "bun", "pixie", "afro"]
MEN_HAIR = ["crop", "buzz", "side part", "quiff", "receding", "mop", "curls", "bald", "bald crown", "afro"]

GRAY_HAIR = (206, 204, 204)
EARRING_SHARE = 0.4  # of women


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


def pick(rng: np.random.Generator, choices: Sequence) -> Any:
    """One of the choices, all equally likely."""
    return choices[int(rng.integers(len(choices)))]


def _spread(place: float, low: float, high: float) -> float:
    """A value for a place in 0 to 1, pushed away from the middle so that people look different."""
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
    # People go gray from age 0.62, but never entirely.
    gray = np.clip((age - 0.62) * 2.4, 0, 0.85)
    hair = mix(pick(rng, hairs), GRAY_HAIR, gray) + rng.uniform(-6, 6, 3)
    painted = _spread(rng.random(), 0.3, 0.9) if woman else _spread(rng.random(), 0.15, 0.4)
    return {
        "skin": tuple(np.clip(skin, 0, 255)),
        "hair_color": tuple(np.clip(hair, 0, 255)),
        "lip_color": tuple(mix(shade(skin, 0.82), pick(rng, LIPS), painted)),
        "eye_color": pick(rng, EYE_COLORS if tone < 4 else EYE_COLORS[:3]),
        "eye_shadow": pick(rng, EYE_SHADOWS) if woman else None,
        "freckles": float(rng.uniform(0.3, 1)) if tone < 3 and rng.random() < 0.3 else 0.0,
    }


def _features(rng: np.random.Generator, woman: bool, places: Sequence[float]) -> dict[str, Any]:
    """Shape of the head and its features; `places` (5,) set the ones that distinguish people most."""
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


def sample_identity(seed: int) -> Identity:
    """The person with a given number, 0 or more: the same Identity on every machine."""
    rng = np.random.default_rng(seed)
    woman, age = bool(rng.random() < 0.5), float(rng.random() ** 1.35)
    tone, *places = _places(seed, 6)
    return Identity(
        number=int(seed),
        woman=woman,
        age=age,
        hair_style=pick(rng, WOMEN_HAIR if woman else MEN_HAIR),
        hair_side=pick(rng, [-1, 1]),
        glasses=pick(rng, ["none"] * 4 + ["round", "square", "half"]),
        glasses_color=pick(rng, GLASSES_COLORS),
        beard="none" if woman else pick(rng, BEARDS),
        clothes=pick(rng, ["crew", "v", "shirt", "turtleneck", "hoodie"] + ["scoop"] * woman),
        clothes_color=pick(rng, CLOTHES),
        earrings=woman and bool(rng.random() < EARRING_SHARE),
        **_coloring(rng, tone, woman, age),
        **_features(rng, woman, places),
    )


def sample_shot(rng: np.random.Generator) -> Shot:
    """Turn, expression and light of a typical selfie: mostly frontal, smiling, lit from above."""
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
