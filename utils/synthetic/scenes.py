"""Contact sheets, and a webcam clip of a room where drawn people come and go.

This module plans who visits when, where they stand and how they move; `portrait` paints them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from utils.synthetic.identity import Identity, Shot
from utils.synthetic.portrait import draw_on, face_box

GROUND = (247, 246, 243)
FRAME_RATE = 15  # frames a second for which movements are timed
PLAN_HEIGHT = 480  # face heights are planned for frames of this height
ARRIVAL = 0.2  # part of a visit that coming in takes, and going out too
EMPTY_ROOM = 0.4  # how long the room stays empty; a visit is 1
BLINK_EVERY, BLINK_AT, BLINK_FADE = 2.6, 0.2, 0.12  # seconds
NOISE_SIGMA, NOISE_SHIFT = 2.5, 64  # gray levels; pixels
BOOKS = [(178, 84, 80), (94, 128, 110), (226, 190, 120), (70, 118, 150), (236, 228, 214), (120, 104, 150)]


def contact_sheet(images: Iterable[np.ndarray], columns: int, tile: int = 160, gap: int = 6) -> np.ndarray:
    """Lay out images in rows of `columns`, cut square and scaled to `tile` pixels, `gap` pixels apart.

    images: RGB uint8 (H, W, 3), each of any size. Returns RGB uint8 (rows * (tile + gap) + gap,
    columns * (tile + gap) + gap, 3).
    """
    images = list(images)
    rows = -(-len(images) // columns)
    step = tile + gap
    sheet = np.empty((rows * step + gap, columns * step + gap, 3), np.uint8)
    sheet[:] = GROUND
    for index, image in enumerate(images):
        side = min(image.shape[:2])
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        square = cv2.resize(image[top : top + side, left : left + side], (tile, tile), interpolation=cv2.INTER_AREA)
        row, column = divmod(index, columns)
        y, x = gap + row * step, gap + column * step
        sheet[y : y + tile, x : x + tile] = square
    return sheet


@dataclass(frozen=True)
class Visit:
    """One person's stay before the camera. Times in frames, places in parts of the frame's size."""

    name: str | None
    identity: Identity
    start: int
    stop: int
    side: int  # comes and goes at the left (-1) or right (1)
    x: float
    y: float
    far: float  # face height in pixels of a 640 x 480 frame, on arriving
    near: float  # the same at its largest
    phase: float  # radians; people move out of step


def _plan(
    enrolled: dict[str, Identity], strangers: list[Identity], rng: np.random.Generator, frame_count: int
) -> list[Visit]:
    """The schedule: everyone visits once, alone or in a pair, and the room is empty for a while."""
    known = list(enrolled.items())
    unknown = [(None, identity) for identity in strangers]
    groups = []
    while known or unknown:
        groups.append([known.pop(0)] if known else [unknown.pop(0)])
        if known and unknown:
            groups.append([known.pop(0), unknown.pop(0)])
        if len(known) > 1:
            groups.append([known.pop(0), known.pop(0)])
        elif unknown:
            groups.append([unknown.pop(0)])
    groups.insert((len(groups) + 1) // 2, [])
    # An empty room needs less time than a visit.
    weights = np.array([1.0 if group else EMPTY_ROOM for group in groups])
    bounds = np.round(np.concatenate([[0], np.cumsum(weights) / weights.sum()]) * frame_count).astype(int)
    visits: list[Visit] = []
    for group, start, stop in zip(groups, bounds[:-1], bounds[1:], strict=True):
        first_side = 1 if rng.random() < 0.5 else -1
        for k, (name, identity) in enumerate(group):
            side = first_side * (1 - 2 * k)
            visits.append(_visit(name, identity, (start, stop), side, len(group) > 1, rng))
    return visits


def _visit(
    name: str | None, identity: Identity, span: tuple[int, int], side: int, pair: bool, rng: np.random.Generator
) -> Visit:
    """A visit in a span of frames; a pair's people stay smaller and farther from the middle."""
    x = 0.5 + side * (0.23 + 0.02 * rng.random() if pair else 0.12 * rng.random())
    near = rng.uniform(125, 150) if pair else rng.uniform(160, 205)
    y, far = rng.uniform(0.42, 0.5), rng.uniform(112, 124)
    return Visit(name, identity, *span, side, x, y, far, near, phase=rng.uniform(0, 6.28))


def _ease(value: float) -> float:
    """Smooth step from 0 to 1; outside it stays there."""
    value = min(max(value, 0.0), 1.0)
    return value * value * (3 - 2 * value)


def _moment(visit: Visit, frame: int) -> tuple[float, float]:
    """Part of the visit (0 to 1) and how far the person has come in (0 outside to 1)."""
    part = (frame - visit.start) / max(visit.stop - 1 - visit.start, 1)
    return part, _ease(part / ARRIVAL) * _ease((1 - part) / ARRIVAL)


def _shot(visit: Visit, frame: int, light: dict[str, Any]) -> Shot:
    """Turn, expression and blinks at one frame of a visit."""
    part, inside = _moment(visit, frame)
    seconds, phase = frame / FRAME_RATE, visit.phase
    # People look where they walk when they come or go.
    walking = -visit.side * 16 * (1 - inside) * (1 if part < 0.5 else -1)
    cycle = (seconds + phase) % BLINK_EVERY
    return Shot(
        yaw=walking + 11 * np.sin(1.3 * seconds + phase),
        pitch=4 * np.sin(2.1 * seconds + 2 * phase),
        roll=4 * np.sin(0.9 * seconds + phase),
        smile=0.6 + 0.4 * np.sin(0.8 * seconds + 3 * phase),
        mouth_open=0.35 * max(np.sin(1.7 * seconds + phase), 0),
        blink=float(np.clip(1.3 - abs(cycle - BLINK_AT) / BLINK_FADE, 0, 1)),
        brow_raise=0.4 * np.sin(seconds + phase),
        gaze=0.25 * np.sin(0.7 * seconds),
        **light,
    )


def _place(visit: Visit, frame: int, size_wh: tuple[int, int]) -> tuple[tuple[float, float], float]:
    """Middle of the face and its height, in pixels."""
    width, height = size_wh
    part, inside = _moment(visit, frame)
    scale = height / PLAN_HEIGHT
    face_height = scale * (visit.far + (visit.near - visit.far) * _ease(2 * min(part, 1 - part)))
    # Almost a face height beyond the edge, even the hair is out of sight.
    outside = 0.5 + visit.side * (0.5 + 0.9 * face_height / width)
    # Steps make the head bob, in parts of the height.
    bob = 0.006 * np.sin(0.8 * frame) * (1 - inside)
    return ((outside + (visit.x - outside) * inside) * width, (visit.y + bob) * height), face_height


def _room(rng: np.random.Generator, size_wh: tuple[int, int]) -> np.ndarray:
    """A blurred living room, RGB uint8 (H, W, 3): a window, a shelf with books, a picture, a plant."""
    # The room is blurred, so it is drawn at this size; all coordinates below are its pixels.
    width, height = 320, 240
    room = np.empty((height, width, 3), np.uint8)
    room[:] = (224, 214, 200)
    room[205:] = (168, 140, 114)
    _add_window_and_picture(room)
    _add_shelf(room, rng)
    _add_plant(room)
    room = cv2.GaussianBlur(room, (0, 0), 4.5)
    return cv2.resize(room, size_wh, interpolation=cv2.INTER_CUBIC)


def _box(room: np.ndarray, x: int, y: int, w: int, h: int, color: tuple[int, int, int]) -> None:
    cv2.rectangle(room, (x, y), (x + w, y + h), color, -1)


def _add_window_and_picture(room: np.ndarray) -> None:
    """A window with two panes and a garden behind; a framed landscape."""
    _box(room, 18, 22, 84, 108, (240, 236, 228))
    _box(room, 24, 28, 34, 96, (206, 226, 238))
    _box(room, 62, 28, 34, 96, (206, 226, 238))
    _box(room, 24, 92, 72, 32, (176, 200, 164))
    _box(room, 146, 40, 52, 40, (120, 92, 70))
    _box(room, 150, 44, 44, 32, (214, 178, 140))
    _box(room, 150, 62, 44, 14, (120, 150, 150))


def _add_shelf(room: np.ndarray, rng: np.random.Generator) -> None:
    """Four boards full of books."""
    _box(room, 232, 30, 76, 176, (150, 116, 88))
    for top in (36, 78, 120, 162):
        _box(room, 237, top, 66, 37, (112, 86, 66))
        x = 239
        while x < 294:
            w, h = int(rng.integers(4, 9)), int(rng.integers(22, 33))
            _box(room, x, top + 37 - h, w - 1, h, BOOKS[int(rng.integers(len(BOOKS)))])
            x += w


def _add_plant(room: np.ndarray) -> None:
    """A fan of leaves in a pot."""
    for angle in np.linspace(-2.6, -0.5, 9):
        tip = (int(122 + 34 * np.cos(angle)), int(168 + 46 * np.sin(angle)))
        cv2.line(room, (122, 172), tip, (96, 134, 92), 7, cv2.LINE_AA)
    _box(room, 110, 172, 24, 34, (190, 120, 90))


def _vignette(size_wh: tuple[int, int]) -> np.ndarray:
    """Factors float32 (H, W, 3) that darken the corners."""
    x, y = np.meshgrid(np.linspace(-1, 1, size_wh[0]), np.linspace(-1, 1, size_wh[1]))
    return cv2.merge([(1 - 0.14 * (x**2 + y**2)).astype(np.float32)] * 3)


def webcam_clip(
    enrolled: dict[str, Identity],
    strangers: list[Identity],
    seed: int,
    frame_count: int = 300,
    size_wh: tuple[int, int] = (640, 480),
) -> Iterator[tuple[np.ndarray, list[dict]]]:
    """The view of a webcam: enrolled people and strangers come and go, alone and in pairs.

    enrolled: name to Identity. size_wh: width and height in pixels. The same arguments give the same clip.
    Yields `frame_count` times (frame, truth): RGB uint8 (H, W, 3), and for every person whose face
    is in the frame {"name": str, or None for a stranger, "box": [x, y, w, h] in pixels, clipped,
    "visible": the share of the face that is inside the frame, 0-1}.
    """
    rng = np.random.default_rng(seed)
    visits = _plan(enrolled, strangers, rng, frame_count)
    room, vignette = _room(rng, size_wh), _vignette(size_wh)
    light = {"light_x": float(rng.uniform(-0.6, 0.6)), "light_y": -0.4, "light_strength": 0.45}
    width, height = size_wh
    # One field of noise, shifted at random, costs a tenth of fresh noise.
    field = rng.normal(0, NOISE_SIGMA, (height + NOISE_SHIFT, width + NOISE_SHIFT, 3)).round().astype(np.int16)
    for frame in range(frame_count):
        image, truth = room.copy(), []
        present = [visit for visit in visits if visit.start <= frame < visit.stop]
        # Two people cost twice the time, so they get coarser lines.
        oversampling = 1.5 if len(present) == 1 else 1
        for visit in sorted(present, key=lambda visit: visit.near):
            center, face_height = _place(visit, frame, size_wh)
            shot = _shot(visit, frame, light)
            box = draw_on(image, visit.identity, shot, center, face_height, oversampling)
            whole = face_box(visit.identity, shot, center, face_height)
            if visible := box[2] * box[3] / (whole[2] * whole[3]):
                truth.append({"name": visit.name, "box": list(box), "visible": visible})
        image = cv2.multiply(image, vignette, dtype=cv2.CV_8U)
        dy, dx = rng.integers(0, NOISE_SHIFT, 2)
        cv2.add(image, field[dy : dy + height, dx : dx + width], image, dtype=cv2.CV_8U)
        yield image, truth
