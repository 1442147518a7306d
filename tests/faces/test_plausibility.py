"""What is a face, and which way up it is."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from utils.faces.alignment import RETINAFACE_CHIP_POINTS, similarity_transform
from utils.faces.detection import load_detector
from utils.faces.plausibility import confirm_face, disagreement, looks_upright, roll_degrees


def upright(points: np.ndarray) -> bool:
    return looks_upright(points, similarity_transform(points, RETINAFACE_CHIP_POINTS))


def test_points_in_impossible_places_are_refused():
    points = 100 * RETINAFACE_CHIP_POINTS
    profile = points.copy()
    profile[:, 0] = [40, 44, 20, 38, 40]
    assert upright(points) and upright(profile)
    crossed = points[[1, 0, 2, 3, 4]]
    above = points.copy()
    above[2, 1] = 0  # the nose on the forehead
    flat = points * [1, 0.2]
    assert not any(upright(wrong) for wrong in (crossed, above, flat, points[[3, 4, 2, 0, 1]], np.zeros((5, 2))))
    aside = points + np.array([35.5, 0])
    assert disagreement(points, points) == 0 and disagreement(points, aside) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("angle", [0, 20, 45, 60, 90, 135, 180, 270])
def test_roll_is_that_of_the_face(angle):
    turn = np.radians(angle)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])  # turns row vectors clockwise
    points = 100 * RETINAFACE_CHIP_POINTS @ rotation
    assert (roll_degrees(points) - angle + 180) % 360 == pytest.approx(180, abs=1e-6)
    assert upright(points) == (angle in (0, 20, 45))


def test_an_upright_face_stays_as_it_is(photos):
    for photo in photos:
        (face,) = load_detector()(photo)
        assert confirm_face(photo, face) is face
        assert confirm_face(photo, face, beside_sure=True) is face


def test_a_face_beside_a_sure_one_may_be_upside_down(photos):
    found = 0
    for photo in photos:
        (face,) = load_detector()(photo)
        x, y, w, h = face.box
        box = (photo.shape[1] - x - w, photo.shape[0] - y - h, w, h)
        points = face.landmarks - (x, y) + box[:2]  # upright, as RetinaFace places them in a face that is upside down
        transform = similarity_transform(points, RETINAFACE_CHIP_POINTS)
        seen = replace(face, box=box, landmarks=points, transform=transform)
        upright = confirm_face(np.ascontiguousarray(photo[::-1, ::-1]), seen, beside_sure=True)
        assert upright is None or abs(roll_degrees(upright.landmarks)) > 150
        found += upright is not None
    assert found >= len(photos) - 1


def test_a_patch_without_a_face_is_refused(photos):
    (face,) = load_detector()(photos[0])
    assert confirm_face(np.full_like(photos[0], 120), face) is None
    noise = np.random.default_rng(0).integers(0, 255, photos[0].shape, np.uint8)
    assert confirm_face(cv2.GaussianBlur(noise, (0, 0), 4), face) is None
