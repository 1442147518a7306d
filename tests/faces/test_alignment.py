"""Chips are upright, similar for both detectors, and equal to dlib's own."""

import cv2
import numpy as np
import pytest

from utils.faces.alignment import (
    CHIP_SIZE,
    UNALIGNED_SIZE,
    Face,
    align_crop,
    crop_square,
    face_chip,
    similarity_transform,
    warp_chip,
)
from utils.faces.boxes import intersection_over_union
from utils.faces.detection import load_detector
from utils.faces.dlib_hog import LANDMARKS_FILE
from utils.media.images import read_image
from utils.networks.dlib_network import find_dlib_weights
from utils.synthetic.identity import sample_identity
from utils.synthetic.portrait import draw_selfie


def nearest(face: Face, others: list[Face]) -> Face | None:
    """The face that the other detector found in the same place, or None."""
    best = max(others, key=lambda other: intersection_over_union(face.box, other.box), default=None)
    return best if best and intersection_over_union(face.box, best.box) > 0.4 else None


@pytest.mark.slow
def test_both_detectors_give_similar_chips(real_data, embed):
    paths = sorted((real_data / "selfies").glob("*/*")) + sorted((real_data / "photos").glob("*.jpg"))
    retinaface, dlib = load_detector("retinaface", 20), load_detector("dlib", 20)
    distances = []
    for path in paths:
        image = read_image(path)
        others = retinaface(image)
        for face in dlib(image):
            if twin := nearest(face, others):
                first, second = embed([face_chip(image, face), face_chip(image, twin)])
                distances.append(np.linalg.norm(first - second))
    assert len(distances) > 30
    assert np.median(distances) < 0.25


@pytest.mark.slow
def test_our_chip_equals_dlibs(photos, embed):
    import dlib

    predictor = dlib.shape_predictor(str(find_dlib_weights().parent.parent / LANDMARKS_FILE))
    detect = load_detector("dlib", 20)
    compared = 0
    for photo in photos:
        for face in detect(photo):
            x, y, w, h = face.box
            shape = predictor(photo, dlib.rectangle(x, y, x + w - 1, y + h - 1))
            theirs = dlib.get_face_chip(photo, shape, size=150, padding=0.25)
            ours = warp_chip(photo, face.transform, 150)
            assert np.abs(ours.astype(int) - theirs).mean() < 6
            first, second = embed([ours, theirs])
            assert np.linalg.norm(first - second) < 0.15
            compared += 1
    assert compared >= 4


def test_the_chip_of_a_tilted_face_is_upright(photos):
    photo = photos[0]
    turn = cv2.getRotationMatrix2D((photo.shape[1] / 2, photo.shape[0] / 2), 20, 1)
    turned = cv2.warpAffine(photo, turn, photo.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    (upright,), (tilted,) = (load_detector()(image) for image in (photo, turned))
    chips = [crop_square(face_chip(image, face)) for image, face in ((photo, upright), (turned, tilted))]
    crops = [face_chip(image, load_detector(align=False)(image)[0]) for image in (photo, turned)]
    differences = [np.abs(a.astype(int) - b).mean() for a, b in (chips, crops)]
    assert differences[0] < 0.6 * differences[1]


def test_an_unaligned_chip_is_the_box_made_square(photos):
    (face,) = load_detector(align=False)(photos[0])
    x, y, w, h = face.box
    side = max(w, h)
    left, top = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
    crop = photos[0][top : top + side, left : left + side]
    expected = cv2.resize(crop, (UNALIGNED_SIZE, UNALIGNED_SIZE), interpolation=cv2.INTER_LINEAR)
    assert np.abs(face_chip(photos[0], face).astype(int) - expected).mean() < 5


def test_a_crop_is_aligned_like_its_face(photos, embed):
    (face,) = load_detector("dlib", 20)(photos[1])
    x, y, w, h = face.box
    crop = photos[1][y : y + h, x : x + w]
    first, second = embed([align_crop(crop), face_chip(photos[1], face)])
    assert np.linalg.norm(first - second) < 0.35
    assert align_crop(crop[:3, :2]).shape == (CHIP_SIZE, CHIP_SIZE, 3)  # hopeless, but no crash
    chip = face_chip(photos[1], face)
    assert align_crop(chip) is chip


def test_large_crops_are_averaged_and_keep_proportions():
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(align_crop(stripes).astype(int) - 100).max() < 20
    tall = draw_selfie(sample_identity(300), np.random.default_rng(1))[:, 120:360]
    squashed = cv2.resize(tall, (240, 240))
    assert np.abs(align_crop(tall).astype(int) - align_crop(squashed)).mean() > 5


def test_similarity_transform_is_exact():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(5, 2)) * 50
    angle, scale, shift = 0.7, 0.02, (3.0, -4.0)
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    transform = similarity_transform(points, points @ matrix.T + shift)
    np.testing.assert_allclose(transform, np.column_stack([matrix, shift]), atol=1e-12)
    assert np.isfinite(similarity_transform(np.zeros((5, 2)), points)).all()


def test_chips_repeat_the_edge_beyond_the_border():
    image = np.full((40, 40, 3), 7, np.uint8)
    transform = np.array([[1 / 100, 0, 0.5], [0, 1 / 100, 0.5]])
    assert (warp_chip(image, transform, 64) == 7).all()


def test_shrinking_chips_average():
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 200
    chip = warp_chip(stripes, np.array([[1 / 800, 0, 0], [0, 1 / 800, 0]]), 100)
    assert np.abs(chip.astype(int) - 100).max() <= 2
