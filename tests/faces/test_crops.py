"""Every extractor's crop is cut out of the same chip, out of chips of earlier versions, and out of other crops."""

import cv2
import numpy as np
import pytest

from utils.faces.alignment import (
    CHIP_SIZE,
    SQUARE_SIZE,
    UNALIGNED_SIZE,
    Face,
    crop_square,
    face_chip,
    similarity_transform,
    warp_chip,
)
from utils.faces.crops import CROP_POINTS, cut_crop, fits_narrow, is_narrow
from utils.faces.detection import load_detector, unaligned
from utils.faces.photo import Photo
from utils.faces.photo_search import load_photo_search
from utils.media.images import read_image, resize_chip

ARCFACE, DLIB = CROP_POINTS["arcface"], CROP_POINTS["dlib"]
KINDS = [("dlib", 150), ("dlib", 224), ("arcface", 112), ("arcface", 224), ("arcface", CHIP_SIZE)]


def dotted_face(side: float, roll: float) -> tuple[np.ndarray, Face]:
    """A gray image with five dots where the landmarks of a face are, and that face. side: of its crop square."""
    turn = np.radians(roll)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = side * (DLIB - 0.5) @ rotation.T + (401.3, 398.8)
    rows, columns = np.mgrid[:800, :800]
    image = np.full((800, 800), 50.0)
    for x, y in points:
        image += 200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (side / 50) ** 2))
    image = np.repeat(image.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return image, Face((0, 0, 9, 9), 1.0, points.astype(np.float32), similarity_transform(points, DLIB))


def find_dots(image: np.ndarray, near: np.ndarray) -> np.ndarray:
    """The centers of the dots nearest to five places, in pixels, (5, 2)."""
    radius, found = image.shape[0] // 14, []
    for x, y in near.round().astype(int):
        part = image[y - radius : y + radius + 1, x - radius : x + radius + 1, 0].astype(float) - 60
        weights = part.clip(0)
        offsets = np.arange(-radius, radius + 1)
        found.append((x + weights.sum(0) @ offsets / weights.sum(), y + weights.sum(1) @ offsets / weights.sum()))
    return np.array(found)


@pytest.mark.parametrize(("kind", "size"), KINDS)
@pytest.mark.parametrize(("side", "roll"), [(320, 0), (150, 25), (560, -40)])
def test_landmarks_land_where_the_points_say(kind, size, side, roll):
    points = CROP_POINTS[kind]
    image, face = dotted_face(side, roll)
    through_chip = cut_crop(face_chip(image, face), points, size)
    assert through_chip.shape == (size, size, 3)
    # The template's five points fit the other one's within the tolerance, as a real face's do not.
    expected = to_crop(points, DLIB) * size
    np.testing.assert_allclose(find_dots(through_chip, expected), expected, rtol=0, atol=0.5)
    direct = warp_chip(image, similarity_transform(face.landmarks, points), size)
    np.testing.assert_allclose(find_dots(direct, expected), find_dots(through_chip, expected), rtol=0, atol=0.5)


def to_crop(points: np.ndarray, in_square: np.ndarray) -> np.ndarray:
    """Places in the crop square (n, 2) as places in the crop with these five points."""
    transform = similarity_transform(DLIB, points)
    return in_square @ transform[:, :2].T + transform[:, 2]


def test_chips_hold_the_whole_crop_of_both():
    assert fits_narrow(DLIB) and not fits_narrow(ARCFACE)
    image, face = dotted_face(320, 10)
    marked = image.copy()
    inverse = cv2.invertAffineTransform(similarity_transform(face.landmarks, ARCFACE))
    corners = (np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) @ inverse[:, :2].T + inverse[:, 2]).round().astype(np.int32)
    cv2.fillPoly(marked, [corners], (255, 0, 0))
    chip = face_chip(marked, face)
    border = np.concatenate([chip[:3].reshape(-1, 3), chip[-3:].reshape(-1, 3), chip[:, :3].reshape(-1, 3)])
    assert (border == 50).all()  # the crop ends before the chip does
    assert (cut_crop(chip, ARCFACE, 112) == (255, 0, 0)).mean() > 0.97


def test_chips_of_earlier_versions_are_the_crop_square(photos):
    """dlib's crop of an old chip is the old chip, and that of a new one differs by rounding at most."""
    for photo in photos:
        (face,) = load_detector()(photo)
        old, new = warp_chip(photo, face.transform, SQUARE_SIZE), face_chip(photo, face)
        assert is_narrow(old) and not is_narrow(new) and new.shape == (CHIP_SIZE, CHIP_SIZE, 3)
        for size in (150, SQUARE_SIZE):
            np.testing.assert_array_equal(cut_crop(old, DLIB, size), resize_chip(old, size))
        differences = np.abs(crop_square(new).astype(int) - old)
        assert np.percentile(differences, 99) <= 8 and differences.mean() < 1.5


def test_what_an_old_chip_lacks_repeats_its_edge(photos):
    (face,) = load_detector()(photos[0])
    old, new = warp_chip(photos[0], face.transform, SQUARE_SIZE), face_chip(photos[0], face)
    crops = [cut_crop(chip, ARCFACE, 112) for chip in (old, new)]
    top = int(np.ceil(to_crop(ARCFACE, np.zeros((1, 2)))[0, 1] * 112)) + 1  # rows above the crop square
    assert 15 < top < 30
    inside = [crop[top:, 10:-10].astype(int) for crop in crops]
    assert np.abs(inside[0] - inside[1]).mean() < 3
    assert np.abs(np.diff(crops[0][: top - 3, 20:-20].astype(int), axis=0)).max() <= 8  # but for the slight rotation
    assert np.abs(np.diff(crops[1][: top - 3, 20:-20].astype(int), axis=0)).max() > 8


@pytest.mark.parametrize("shape", [(90, 90), (250, 250), (225, 224), (292, 224), (300, 200), (UNALIGNED_SIZE,) * 2])
@pytest.mark.parametrize("points", [DLIB, ARCFACE])
def test_other_crops_are_taken_whole(shape, points):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    np.testing.assert_array_equal(cut_crop(image, points, 112), resize_chip(image, 112))


def test_unaligned_faces_are_taken_whole(photos):
    photo = photos[0]
    (face,) = load_detector(align=False)(photo)
    (found,) = load_photo_search(align=False)(photo)
    (aligned,) = load_detector()(photo)
    assert aligned.aligned and not face.aligned and not found.aligned
    chip = face_chip(photo, face)
    assert chip.shape == (UNALIGNED_SIZE, UNALIGNED_SIZE, 3)
    np.testing.assert_array_equal(crop_square(chip), chip)
    # As the original recipe cut it, which its network saw at 224 px.
    expected = warp_chip(photo, unaligned(aligned).transform, SQUARE_SIZE).astype(int)
    for points in CROP_POINTS.values():
        assert np.abs(cut_crop(chip, points, SQUARE_SIZE) - expected).mean() < 2
    data = cv2.imencode(".png", photo[..., ::-1])[1].tobytes()
    decoded = Photo(data, 1280)
    (same,) = decoded.search(load_photo_search(align=False)).faces
    np.testing.assert_array_equal(decoded.chip(same), face_chip(photo, found))


@pytest.mark.slow
def test_dlib_sees_the_same_in_old_and_new_chips(real_data, embed):
    search, old, new = load_photo_search(), [], []
    for path in sorted((real_data / "selfies").glob("*/*")) + sorted((real_data / "johns").glob("*/*"))[:20]:
        photo = read_image(path)
        for face in search(photo)[:1]:
            old.append(warp_chip(photo, face.transform, SQUARE_SIZE))
            new.append(face_chip(photo, face))
    assert len(old) > 20
    features = [embed(chips) for chips in (old, new)]
    lengths = [np.linalg.norm(matrix, axis=1) for matrix in features]
    cosines = (features[0] * features[1]).sum(1) / (lengths[0] * lengths[1])
    assert cosines.min() > 0.999
