"""Portraits of people who don't exist, drawn with NumPy and OpenCV, for the tests and the demo.

This module finishes the picture: background, light, a person painted onto an image, a selfie. `identity`
decides what a person looks like; `face`, `hair` and `clothes` paint the parts. Images are RGB uint8 (H, W, 3).
"""

import cv2
import numpy as np
from numpy.typing import ArrayLike

from utils.synthetic.canvas import Canvas, mix, shade
from utils.synthetic.clothes import draw_body
from utils.synthetic.face import (
    draw_brow,
    draw_ears,
    draw_eye,
    draw_glasses,
    draw_mouth,
    draw_nose,
    draw_skin,
    face_outline,
)
from utils.synthetic.hair import draw_back_hair, draw_beard, draw_front_hair
from utils.synthetic.identity import CLOTHES, Identity, Shot, pick, sample_shot
from utils.synthetic.pose import Pose

BACKDROPS = [
    (196, 214, 222), (222, 208, 190), (190, 206, 188), (214, 196, 200),
    (176, 190, 208), (226, 216, 176), (160, 172, 170), (206, 186, 168),
]  # fmt: skip
LIGHT_STEP = 6  # pixels between the points where light is computed; in between it is interpolated

# How far hair, shoulders and chest reach from the middle of the face, in half face heights.
REACH_SIDES, REACH_ABOVE, REACH_BELOW = 2.4, 2.2, 4.6


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
    factor = np.stack([factor, factor**1.05, factor**1.1], axis=2) * np.array(shot.light_color, np.float32)
    factor = cv2.resize(factor, (x.shape[1] * step, x.shape[0] * step))
    return factor[:height, :width]


def draw_background(rng: np.random.Generator, size_wh: tuple[int, int]) -> np.ndarray:
    """A background out of focus, with a few large shapes and spots of light.

    size_wh: width and height in pixels. Returns RGB uint8 (H, W, 3).
    """
    width, height = size_wh
    # The background is blurred, so a fifth of the size is enough.
    small = (max(width // 5, 16), max(height // 5, 16))
    base, other = np.array(pick(rng, BACKDROPS), float), np.array(pick(rng, BACKDROPS), float)
    x, y = np.meshgrid(np.linspace(0, 1, small[0]), np.linspace(0, 1, small[1]))
    slope = rng.uniform(-0.6, 0.6)
    blend = np.clip(y + slope * (x - 0.5), 0, 1)[..., None]
    image = (base * (1 - blend) + mix(base, shade(other, 0.8), 0.6) * blend).astype(np.float32)
    for _ in range(int(rng.integers(2, 5))):
        color = mix(pick(rng, BACKDROPS + CLOTHES), base, 0.62)
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
    # Detector boxes start below the hairline.
    points = pose.on_outline(outline, depth)[outline[:, 1] > -0.85]
    if shape is not None:
        points = np.clip(points, 0, [shape[1], shape[0]])
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return round(float(x0)), round(float(y0)), round(float(x1 - x0)), round(float(y1 - y0))


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
    x, y = np.asarray(center_xy, float)
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
    # Shapes are antialiased, so even 1 gives smooth edges; more gives finer lines.
    size = (round(width * oversampling), round(height * oversampling))
    canvas = Canvas(cv2.resize(window, size, interpolation=cv2.INTER_NEAREST))
    # The center of pixel 0 is at 0 and its edge at -0.5; scaling keeps the edges in place.
    center = (center_xy + 0.5) * oversampling - 0.5
    pose = Pose(shot, identity.face_width, center, unit * oversampling)
    draw_person(canvas, pose, identity, shot)
    # INTER_AREA averages whole pixels only when it halves.
    method = cv2.INTER_AREA if oversampling == 2 else cv2.INTER_LINEAR
    painted = cv2.resize(canvas.pixels, (width, height), interpolation=method)
    alpha = cv2.resize(canvas.coverage, (width, height), interpolation=method)
    pose = Pose(shot, identity.face_width, center_xy, unit)
    lit = cv2.multiply(painted, _lighting(pose, shot, alpha.shape), dtype=cv2.CV_8U)
    weight = alpha * np.float32(1 / 255)
    # Edge pixels already contain some background, which the person's light must not change.
    painted = cv2.blendLinear(lit, painted, weight, 1 - weight)
    cv2.copyTo(painted, alpha, window)


def draw_person(canvas: Canvas, pose: Pose, identity: Identity, shot: Shot) -> None:
    """Paint the whole person on a canvas, in place, back to front: from the hair behind to the glasses."""
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
    draw_on(image, identity, sample_shot(rng), center, face_height)
    blur = rng.uniform(0, 0.9)
    # A Gaussian narrower than 0.3 pixels changes next to nothing.
    if blur > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    add_noise(image, rng, rng.uniform(0.5, 4))
    return image
