"""Detection and alignment: parity with the packages' own code, and one kind of chip from both detectors."""

import cv2
import numpy as np
import pytest

from utils.faces.alignment import CHIP_SIZE, Face, align_crop, face_chip, similarity_transform, warp_chip
from utils.faces.boxes import clip_box, intersection_over_union
from utils.faces.detection import load_detector, main_faces
from utils.faces.dlib_hog import dlib_landmarks
from utils.faces.retinaface import detect_retinaface
from utils.features.dlib_network import find_dlib_weights
from utils.media.images import read_image, resize_chip
from utils.synthetic.identity import sample_identity
from utils.synthetic.portrait import draw_selfie


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [draw_selfie(sample_identity(300 + number), rng) for number in range(6)]


@pytest.fixture(scope="module")
def describe(extractor_path):
    from utils.features.extractor import load_extractor

    return load_extractor(extractor_path).embed


def nearest(face: Face, others: list[Face]) -> Face | None:
    """The other detector's face at the same place."""
    best = max(others, key=lambda other: intersection_over_union(face.box, other.box), default=None)
    return best if best and intersection_over_union(face.box, best.box) > 0.4 else None


def test_both_detectors_give_the_same_kind_of_chip(real_data, describe):
    paths = sorted((real_data / "selfies").glob("*/*")) + sorted((real_data / "photos").glob("*.jpg"))
    retinaface, dlib = load_detector("retinaface", 20), load_detector("dlib", 20)
    distances = []
    for path in paths:
        image = read_image(path)
        others = retinaface(image)
        for face in dlib(image):
            if twin := nearest(face, others):
                first, second = describe([face_chip(image, face), face_chip(image, twin)])
                distances.append(np.linalg.norm(first - second))
    assert len(distances) > 30
    assert np.median(distances) < 0.25


def test_each_selfie_has_one_face_that_counts(real_data):
    paths = sorted((real_data / "selfies").glob("*/*"))
    assert len(paths) == 12
    for path in paths:
        assert len(main_faces(load_detector("retinaface", 40)(read_image(path)))) == 1, path


def test_retinaface_equals_the_packages_own_decoding(photos):
    import retinaface

    for photo in photos:
        boxes, scores, landmarks = detect_retinaface(photo, 0.8)
        expected = retinaface.detect_faces(photo, score_threshold=0.8)
        assert len(boxes) == len(expected) == 1
        face = expected[0]
        np.testing.assert_allclose(boxes[0], (face.x, face.y, face.width, face.height), atol=1)
        np.testing.assert_allclose(scores[0], face.score, atol=1e-5)
        np.testing.assert_allclose(landmarks[0], [(p.x, p.y) for p in face.landmarks], atol=1)


def test_our_chip_is_dlibs_chip(photos, describe):
    import dlib

    from utils.faces.dlib_hog import LANDMARKS_FILE

    predictor = dlib.shape_predictor(str(find_dlib_weights().parent.parent / LANDMARKS_FILE))
    detect = load_detector("dlib", 20)
    compared = 0
    for photo in photos:
        for face in detect(photo):
            x, y, w, h = face.box
            shape = predictor(photo, dlib.rectangle(x, y, x + w - 1, y + h - 1))
            theirs = dlib.get_face_chip(photo, shape, size=150, padding=0.25)
            ours = face_chip(photo, face, 150)
            assert np.abs(ours.astype(int) - theirs).mean() < 6
            first, second = describe([ours, theirs])
            assert np.linalg.norm(first - second) < 0.15
            compared += 1
    assert compared >= 4


@pytest.mark.parametrize("name", ["retinaface", "dlib"])
def test_large_photos_are_searched_small_and_cropped_large(photos, describe, name):
    # A 12-megapixel selfie: its face is larger than RetinaFace's largest anchor.
    small = photos[0]
    large = cv2.resize(small, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    detect = load_detector(name, 20)
    (first,), (second,) = detect(small), detect(large)
    assert intersection_over_union(tuple(value / 8 for value in second.box), first.box) > 0.6
    chips = face_chip(small, first), face_chip(large, second)
    assert chips[1].shape == (CHIP_SIZE, CHIP_SIZE, 3)
    a, b = describe(chips)
    assert np.linalg.norm(a - b) < 0.25


@pytest.mark.parametrize("name", ["retinaface", "dlib"])
def test_min_size_and_empty_pictures(photos, name):
    (face,) = load_detector(name, 1)(photos[0])
    smaller_side = min(face.box[2:])
    assert len(load_detector(name, smaller_side)(photos[0])) == 1
    assert load_detector(name, smaller_side + 1)(photos[0]) == []
    for shape in ((480, 640, 3), (3, 5, 3), (1, 2000, 3)):
        assert load_detector(name, 20)(np.zeros(shape, np.uint8)) == []


def test_a_turned_face_gives_an_upright_chip(photos):
    photo = photos[0]
    turn = cv2.getRotationMatrix2D((photo.shape[1] / 2, photo.shape[0] / 2), 20, 1)
    turned = cv2.warpAffine(photo, turn, photo.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    (upright,), (tilted,) = (load_detector()(image) for image in (photo, turned))
    chips = face_chip(photo, upright), face_chip(turned, tilted)
    crops = [face_chip(image, load_detector(align=False)(image)[0]) for image in (photo, turned)]
    difference = [np.abs(a.astype(int) - b).mean() for a, b in (chips, crops)]
    assert difference[0] < 0.6 * difference[1]


def test_without_alignment_the_chip_is_the_squared_box(photos):
    (face,) = load_detector(align=False)(photos[0])
    x, y, w, h = face.box
    side = max(w, h)
    left, top = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
    crop = photos[0][top : top + side, left : left + side]
    expected = cv2.resize(crop, (CHIP_SIZE, CHIP_SIZE), interpolation=cv2.INTER_LINEAR)
    assert np.abs(face_chip(photos[0], face).astype(int) - expected).mean() < 5


def test_crops_are_aligned_on_their_own_rectangle(photos, describe):
    (face,) = load_detector("dlib", 20)(photos[1])
    x, y, w, h = face.box
    crop = photos[1][y : y + h, x : x + w]
    first, second = describe([align_crop(crop), face_chip(photos[1], face)])
    assert np.linalg.norm(first - second) < 0.35
    assert align_crop(crop[:3, :2]).shape == (CHIP_SIZE, CHIP_SIZE, 3)  # hopeless, but no crash


def test_similarity_transform_is_found_exactly():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(5, 2)) * 50
    angle, scale, shift = 0.7, 0.02, (3.0, -4.0)
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity_transform(points, points @ matrix.T + shift)
    np.testing.assert_allclose(found, np.column_stack([matrix, shift]), atol=1e-12)
    assert np.isfinite(similarity_transform(np.zeros((5, 2)), points)).all()


def test_chips_over_the_border_repeat_the_edge():
    image = np.full((40, 40, 3), 7, np.uint8)
    transform = np.array([[1 / 100, 0, 0.5], [0, 1 / 100, 0.5]])
    assert (warp_chip(image, transform, 64) == 7).all()


def test_shrinking_chips_average():
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 200
    chip = warp_chip(stripes, np.array([[1 / 800, 0, 0], [0, 1 / 800, 0]]), 100)
    assert np.abs(chip.astype(int) - 100).max() <= 2


def face_of_height(height: int) -> Face:
    return Face((0, 0, height, height), 0.9, np.zeros((5, 2), np.float32), np.eye(2, 3))


def test_a_passer_by_does_not_count():
    faces = [face_of_height(height) for height in (49, 100, 50)]
    assert [face.box[3] for face in main_faces(faces)] == [100, 50]
    assert main_faces([]) == []


def test_boxes_are_clipped():
    assert clip_box((-10.4, 5.6, 30, 500), (100, 50, 3)) == (0, 6, 20, 94)
    assert intersection_over_union((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert intersection_over_union((0, 0, 10, 10), (20, 0, 10, 10)) == 0


def test_dlib_landmarks_lie_on_the_face(photos):
    (face,) = load_detector("dlib", 20)(photos[0])
    points = dlib_landmarks(photos[0], face.box)
    x, y, w, h = face.box
    assert ((points > (x, y)) & (points < (x + w, y + h))).all()
    assert resize_chip(photos[0], 100).shape == (100, 100, 3)


@pytest.mark.parametrize("name", ["retinaface", "dlib"])
def test_detectors_work_in_several_threads(photos, name):
    from concurrent.futures import ThreadPoolExecutor

    detect = load_detector(name, 20)
    expected = [[face.box for face in detect(photo)] for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda photo: [face.box for face in detect(photo)], photos * 4))
    assert found == expected * 4


def test_large_crops_are_averaged_and_keep_their_proportions():
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(align_crop(stripes).astype(int) - 100).max() < 20
    tall = draw_selfie(sample_identity(300), np.random.default_rng(1))[:, 120:360]
    squashed = cv2.resize(tall, (240, 240))
    assert np.abs(align_crop(tall).astype(int) - align_crop(squashed)).mean() > 5
