"""Flat pictures and heads: which movement of a face could be that of a photo."""

import numpy as np
import pytest
from support import tilted_photo, webcam_view

from utils.capture.flatness import SIZE, View, is_flat, view_face
from utils.faces.detection import load_detector
from utils.synthetic.identity import Shot


@pytest.fixture(scope="module")
def view_of():
    """A function that finds the face in a picture and makes a view of it."""
    detect = load_detector(min_size=30)

    def view(picture: np.ndarray) -> View:
        (face,) = detect(picture)
        return view_face(picture, face.landmarks)

    return view


def test_a_tilted_photo_is_flat(view_of):
    front = webcam_view(height=240)
    first = view_of(front)
    tilts = [(-40, 0), (-30, 0), (30, 0), (40, 0), (0, -40), (0, -30), (0, 30), (-30, 20)]
    found = [is_flat(first, view_of(tilted_photo(front, *tilt))) for tilt in tilts]
    assert sum(found) >= len(tilts) - 1, found


def test_a_head_that_turns_is_not_flat(view_of):
    first = view_of(webcam_view(height=240))
    shots = [Shot(yaw=-18), Shot(yaw=16), Shot(yaw=20), Shot(pitch=-16), Shot(pitch=18), Shot(pitch=22)]
    found = [is_flat(first, view_of(webcam_view(shot, 240, seed=1))) for shot in shots]
    assert sum(found) <= 1, found


def test_nothing_is_said_about_a_face_without_points():
    points = np.array([[70, 70], [150, 70], [110, 120], [75, 150], [145, 150]], np.float32)
    plain = View(np.full((SIZE, SIZE), 120, np.uint8), points)
    assert not is_flat(plain, plain)
    noise = View(np.random.default_rng(0).integers(0, 256, (SIZE, SIZE), dtype=np.uint8), points)
    assert not is_flat(noise, View(noise.gray[::-1].copy(), points)) and is_flat(noise, noise)
