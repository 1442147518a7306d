"""Photos searched thoroughly: turned faces, close-ups, panoramas, and the messages where there is no face."""

import itertools

import cv2
import numpy as np
import pytest

from utils.faces import agreement, plausibility
from utils.faces.alignment import Face, face_chip
from utils.faces.detection import main_faces
from utils.faces.photo import Photo
from utils.faces.photo_search import PhotoFaces, _turn_back, load_photo_search, tile_starts
from utils.media.images import read_image
from utils.synthetic.identity import sample_identity
from utils.synthetic.portrait import draw_selfie

search = load_photo_search(search_size=960)


def selfie(number: int) -> np.ndarray:
    return draw_selfie(sample_identity(number), np.random.default_rng(number))


def rotate(image: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Turn an image on a larger gray canvas. Returns it and the matrix (2, 3) that moved its pixels."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), degrees, 1)
    cosine, sine = abs(matrix[0, 0]), abs(matrix[0, 1])
    size = np.ceil([height * sine + width * cosine, height * cosine + width * sine]).astype(int)
    matrix[:, 2] += (size - [width, height]) / 2
    return cv2.warpAffine(image, matrix, size.tolist(), borderValue=(128, 128, 128)), matrix


def landmark_error(face: Face, truth: np.ndarray) -> float:
    """Mean distance of a face's points from the true ones (5, 2), in eye distances."""
    return float(np.hypot(*(face.landmarks - truth).T).mean() / np.hypot(*(truth[1] - truth[0])))


def test_turned_faces_come_out_upright(embed):
    photo = selfie(101)
    (upright,) = search(photo)
    reference = face_chip(photo, upright)
    chips = []
    for angle in range(0, 360, 45):
        turned, matrix = rotate(photo, angle)
        (face,) = search(turned)
        truth = upright.landmarks @ matrix[:, :2].T + matrix[:, 2]
        assert landmark_error(face, truth) < 0.2, angle
        x, y, w, h = face.box
        assert x < truth[2, 0] < x + w and y < truth[2, 1] < y + h
        chips.append(face_chip(turned, face))
    first, *others = embed([reference, *chips])
    assert np.linalg.norm(np.array(others) - first, axis=1).max() < 0.35  # two people are over 0.6 apart


@pytest.mark.slow
def test_selfies_are_right_at_any_angle(real_data):
    for number, path in enumerate(sorted((real_data / "selfies").glob("*/*"))):
        photo = read_image(path)
        scale = min(1, 480 / max(photo.shape[:2]))
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = search.search(photo)
        upright = main_faces(found.faces, found.size_wh)[0]
        for angle in (45 + 15 * number, 210 - 15 * number):
            turned, matrix = rotate(photo, angle)
            found = search.search(turned)
            face = main_faces(found.faces, found.size_wh)[0]
            assert landmark_error(face, upright.landmarks @ matrix[:, :2].T + matrix[:, 2]) < 0.2, (path, angle)


def test_turned_groups_are_found(real_data):
    photo = read_image(real_data / "photos" / "2007_007763.jpg")  # faces of a fourteenth of the photo
    for quarters in range(4):
        faces = search(np.ascontiguousarray(np.rot90(photo, quarters)))
        assert len(faces) == 7
        assert all(face.box[2] < face.box[3] for face in faces) == (quarters % 2 == 0)


def test_a_dog_is_no_face(real_data):
    found = search.search(read_image(real_data / "photos" / "dogs.jpg"))
    assert found.faces == [] and found.doubtful >= 3


def test_few_pixels_are_searched(monkeypatch):
    searched = []
    for module, name in ((agreement, "find_candidates"), (plausibility, "detect_retinaface")):
        original = getattr(module, name)

        def count(image, *args, original=original):
            searched.append(image.shape[0] * image.shape[1])
            return original(image, *args)

        monkeypatch.setattr(module, name, count)
    group = cv2.resize(np.hstack([selfie(101), selfie(102)]), (960, 480), interpolation=cv2.INTER_AREA)
    assert len(search(group)) == 2 and searched == [960 * 480]
    searched.clear()
    assert search(np.full((960, 960, 3), 120, np.uint8)) == []
    assert searched[0] == 960 * 960 and sum(searched) < 1.6 * searched[0]


@pytest.mark.parametrize("share", [1.15, 1.0, 0.8])
def test_a_close_up_is_one_face(share):
    photo = cv2.resize(selfie(102), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    (face,) = search(photo)
    x, y, w, h = face.box
    height = share * h
    scale = 1600 / height
    matrix = np.array([[scale, 0, 600 - scale * (x + w / 2)], [0, scale, 800 - scale * (y + h / 2)]])
    close = cv2.warpAffine(photo, matrix, (1200, 1600), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    (large,) = search(close)
    assert landmark_error(large, face.landmarks @ matrix[:, :2].T + matrix[:, 2]) < 0.2


@pytest.mark.slow
def test_a_panorama_is_searched_in_tiles():
    people = [(150, 0, 300), (1980, 100, 90), (3880, 50, 120)]  # where along, where across, and side, in pixels
    wide, tall = np.full((300, 4000, 3), 120, np.uint8), np.full((4000, 300, 3), 120, np.uint8)
    for number, (along, across, side) in enumerate(people):
        face = cv2.resize(selfie(103 + number), (side, side), interpolation=cv2.INTER_AREA)
        wide[across : across + side, along : along + side] = face
        tall[along : along + side, across : across + side] = face
    for image, axis in ((wide, 0), (tall, 1)):
        data = cv2.imencode(".jpg", image[:, :, ::-1])[1].tobytes()
        for faces in (search(image), Photo(data, 600).faces(load_photo_search(search_size=600))):
            places = sorted(face.box[axis] for face in faces)
            assert len(places) == 3
            assert all(along <= at <= along + side for (along, _, side), at in zip(people, places, strict=True))


def test_tiles_cover_everything():
    for length, tile, overlap in ((100, 100, 50), (101, 100, 50), (20_000, 2400, 1200), (65_000, 1280, 10)):
        starts = tile_starts(length, tile, overlap)
        assert starts[0] == 0 and starts[-1] + tile >= length
        assert all(second - first <= tile - overlap for first, second in itertools.pairwise(starts))


def test_a_large_and_a_small_face_in_one_photo():
    image = np.full((960, 1280, 3), 120, np.uint8)
    image[:, :960] = cv2.resize(selfie(101), (960, 960), interpolation=cv2.INTER_CUBIC)
    image[300:370, 1100:1170] = cv2.resize(selfie(102), (70, 70), interpolation=cv2.INTER_AREA)
    heights = sorted(face.box[3] for face in load_photo_search()(image))
    assert len(heights) == 2 and heights[0] < 60 and heights[1] > 400


def face_at(x: int, y: int, w: int, h: int) -> Face:
    return Face((x, y, w, h), 0.9, np.zeros((5, 2), np.float32), np.eye(2, 3))


def test_the_main_face_is_large_central_and_whole():
    person, neighbor, passer_by = face_at(80, 80, 90, 100), face_at(200, 60, 50, 140), face_at(120, 10, 20, 24)
    faces = [neighbor, passer_by, person]
    assert main_faces(faces) == [neighbor, person]  # by height alone
    assert main_faces(faces, (250, 250)) == [person, neighbor]
    assert main_faces([face_at(0, 75, 100, 100), face_at(140, 75, 98, 98)], (250, 250))[0].box[0] == 140
    assert main_faces([], (250, 250)) == []


def test_reasons_name_what_was_found():
    small = PhotoFaces((500, 500), [face_at(0, 0, 31, 40)], 1)
    assert small.why_none(40) == "no face found: 1 face of 31 px is smaller than --min_size 40"
    assert small.large_enough(31) and not small.large_enough(32)
    several = PhotoFaces((500, 500), [face_at(0, 0, 31, 40), face_at(0, 0, 30, 19)], 0)
    assert several.why_none(40) == "no face found: 2 faces of 19 to 31 px are smaller than --min_size 40"
    assert PhotoFaces((9, 9), [], 0).why_none(40) == "no face found"
    assert "1 candidate looked like no whole face" in PhotoFaces((9, 9), [], 1).why_none(40)


@pytest.mark.slow
def test_turning_a_photo_keeps_boxes_and_chips():
    photo = selfie(104)
    (face,) = search(photo)
    for quarters in (1, 2, 3):
        turned = np.ascontiguousarray(np.rot90(photo, quarters))
        (back,) = search(turned)
        chips = face_chip(photo, face), face_chip(turned, back)
        assert np.abs(chips[0].astype(int) - chips[1]).mean() < 8
        again = _turn_back(_turn_back(face, quarters, turned.shape), 4 - quarters, photo.shape)
        assert again.box == face.box
        np.testing.assert_allclose(again.landmarks, face.landmarks, rtol=0, atol=1e-3)
        np.testing.assert_allclose(again.transform, face.transform, rtol=0, atol=1e-9)
