"""Detectors: image and face sizes, several threads, and which faces count."""

import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from utils.faces import detection
from utils.faces.alignment import CHIP_SIZE, Face, face_chip
from utils.faces.boxes import intersection_over_union
from utils.faces.detection import load_detector, main_faces
from utils.faces.retinaface import RetinaFace, load_retinaface
from utils.media.images import read_image


@pytest.mark.slow
def test_each_selfie_has_one_main_face(real_data):
    paths = sorted((real_data / "selfies").glob("*/*"))
    assert len(paths) == 12
    for path in paths:
        assert len(main_faces(load_detector("retinaface", 40)(read_image(path)))) == 1, path


@pytest.mark.parametrize("name", ["retinaface", "dlib"])
def test_a_large_photo_gives_the_same_face_and_chip(photos, embed, name):
    # A 12-megapixel selfie: its face is larger than RetinaFace's largest anchor.
    small = photos[0]
    large = cv2.resize(small, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    detect = load_detector(name, 20)
    (first,), (second,) = detect(small), detect(large)
    assert intersection_over_union(tuple(value / 8 for value in second.box), first.box) > 0.6
    chips = face_chip(small, first), face_chip(large, second)
    assert chips[1].shape == (CHIP_SIZE, CHIP_SIZE, 3)
    a, b = embed(chips)
    assert np.linalg.norm(a - b) < 0.25


@pytest.mark.parametrize("name", ["retinaface", "dlib"])
def test_min_size_and_empty_images(photos, name):
    (face,) = load_detector(name, 1)(photos[0])
    smaller_side = min(face.box[2:])
    assert len(load_detector(name, smaller_side)(photos[0])) == 1
    assert load_detector(name, smaller_side + 1)(photos[0]) == []
    for shape in ((480, 640, 3), (3, 5, 3), (1, 2000, 3)):
        assert load_detector(name, 20)(np.zeros(shape, np.uint8)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["retinaface", "dlib"])
def test_detectors_work_in_several_threads(photos, name):
    detect = load_detector(name, 20)
    expected = [[face.box for face in detect(photo)] for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        boxes = list(pool.map(lambda photo: [face.box for face in detect(photo)], photos * 4))
    assert boxes == expected * 4


def face_of_height(height: int) -> Face:
    return Face((0, 0, height, height), 0.9, np.zeros((5, 2), np.float32), np.eye(2, 3))


def test_passers_by_do_not_count():
    faces = [face_of_height(height) for height in (49, 100, 50)]
    assert [face.box[3] for face in main_faces(faces)] == [100, 50]
    assert main_faces([]) == []


def test_frames_of_upright_faces_are_searched_once(photos, monkeypatch):
    searches = []
    monkeypatch.setattr(detection, "confirm_face", lambda *_: searches.append(1))
    assert all(load_detector()(photo) for photo in photos)
    assert not searches


@pytest.mark.parametrize(("precision", "apart"), [("float32", 0.01), ("bfloat16", 1.0)])
def test_later_frames_of_a_size_show_the_same_faces(photos, monkeypatch, precision, apart):
    detect_any = load_detector()
    # Its own, because the one that all tests share may have given its networks to other sizes.
    network = RetinaFace(load_retinaface(precision=precision).load)
    monkeypatch.setattr(detection, "load_retinaface", lambda *_: network)
    detect = load_detector(precision=precision)
    for photo in (photos[0], cv2.resize(photos[0], None, fx=0.8, fy=0.8)):
        (expected,) = detect_any(photo)
        while None in network.pick(photo.shape[:2]).inputs[0]:  # the one for this size is still loading
            time.sleep(0.01)
        (face,) = detect(photo)
        np.testing.assert_allclose(face.landmarks, expected.landmarks, atol=apart)  # pixels


def test_a_face_on_its_side_is_turned_in_frames_too(photos):
    (upright,) = load_detector()(photos[1])
    turned = np.ascontiguousarray(np.rot90(photos[1]))
    (face,) = load_detector()(turned)
    roll = np.degrees(np.arctan2(-face.transform[1, 0], face.transform[0, 0]))
    assert abs(roll) == pytest.approx(90, abs=20)
    assert face.box[2] == pytest.approx(upright.box[3], rel=0.25)
