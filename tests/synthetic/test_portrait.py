"""Drawn people must be found and told apart by the detectors and the network that the suite uses."""

import dataclasses

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from utils.faces.alignment import face_chip
from utils.faces.boxes import intersection_over_union
from utils.faces.detection import load_detector, main_faces
from utils.features.extractor import load_extractor
from utils.synthetic.identity import Shot, sample_identity, sample_shot
from utils.synthetic.portrait import draw_background, draw_on, draw_selfie
from utils.synthetic.scenes import contact_sheet, webcam_clip

PEOPLE, PHOTOS = 40, 10
MIN_VISIBLE = 0.75  # visible share from which a face must be found

find_faces = load_detector("retinaface", 20)


@pytest.fixture(scope="module")
def selfies():
    """photos[person][photo], RGB uint8 (480, 480, 3)."""
    people = [sample_identity(number) for number in range(PEOPLE)]
    return [
        [draw_selfie(person, np.random.default_rng([person.number, k])) for k in range(PHOTOS)] for person in people
    ]


@pytest.mark.slow
def test_retinaface_finds_one_face(selfies):
    counts = [len(find_faces(photo)) for photos in selfies for photo in photos]
    assert len(counts) == PEOPLE * PHOTOS
    assert np.mean(np.equal(counts, 1)) >= 0.99


@pytest.mark.slow
def test_hog_finds_one_face(selfies):
    detect = load_detector("dlib", 20)
    counts = [len(detect(photo)) for photos in selfies for photo in photos]
    assert np.mean(np.equal(counts, 1)) >= 0.95


@pytest.mark.slow
def test_descriptors_tell_people_apart(selfies, extractor_path):
    chips = [face_chip(photo, main_faces(find_faces(photo))[0]) for photos in selfies for photo in photos]
    descriptors = load_extractor(extractor_path).embed(chips)
    names = np.repeat(np.arange(PEOPLE), PHOTOS)
    first, second = np.triu_indices(len(names), 1)
    distance = np.linalg.norm(descriptors[first] - descriptors[second], axis=1)
    same = names[first] == names[second]
    assert same.sum() == PEOPLE * PHOTOS * (PHOTOS - 1) / 2
    assert roc_auc_score(same, -distance) >= 0.999
    assert np.percentile(distance[same], 99) < 0.5
    assert np.median(distance[~same]) > 0.55


def test_a_number_is_a_person():
    assert sample_identity(3) == sample_identity(3)
    looks = {dataclasses.replace(sample_identity(number), number=0) for number in range(100)}
    assert len(looks) == 100
    person = sample_identity(3)
    first, again, other = (draw_selfie(person, np.random.default_rng(seed), 160) for seed in (1, 1, 2))
    assert first.shape == (160, 160, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_identities_look_different():
    pictures = []
    for number in range(12):
        image = np.full((120, 120, 3), 200, np.uint8)
        draw_on(image, sample_identity(number), Shot(), (60, 60), 60)
        pictures.append(image.astype(float))
    differences = [np.abs(a - b).mean() for k, a in enumerate(pictures) for b in pictures[:k]]
    assert min(differences) > 3


@pytest.mark.parametrize("center, height", [((200, 200), 160), ((30, 200), 160), ((390, 390), 180), ((200, 20), 200)])
def test_box_lies_inside_the_image(center, height):
    image = np.full((400, 400, 3), 180, np.uint8)
    x, y, w, h = draw_on(image, sample_identity(5), Shot(yaw=15, roll=-8), center, height)
    assert x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= 400 and y + h <= 400


def test_a_person_outside_leaves_the_image_alone():
    image = np.full((100, 100, 3), 180, np.uint8)
    *_, w, h = draw_on(image, sample_identity(5), Shot(), (-500, 50), 60)
    assert w * h == 0
    assert (image == 180).all()


@pytest.mark.slow
def test_box_matches_the_detectors():
    rng, overlaps = np.random.default_rng(0), []
    for number in range(30):
        image = draw_background(rng, (400, 400))
        box = draw_on(image, sample_identity(number), sample_shot(rng), (200, 190), 170)
        overlaps.append(max((intersection_over_union(box, face.box) for face in find_faces(image)), default=0))
    assert np.median(overlaps) > 0.7
    assert np.mean(np.greater(overlaps, 0.5)) >= 0.95


def test_a_turned_face_moves_its_features_more_than_its_outline():
    person = sample_identity(5)
    straight, turned = (np.full((300, 300, 3), 200, np.uint8) for _ in range(2))
    draw_on(straight, person, Shot(), (150, 150), 140)
    draw_on(turned, person, Shot(yaw=20), (150, 150), 140)
    (a,), (b,) = find_faces(straight), find_faces(turned)
    nose = b.landmarks[2][0] - a.landmarks[2][0]
    middle = (b.box[0] + b.box[2] / 2) - (a.box[0] + a.box[2] / 2)
    assert nose > 10
    assert nose > middle + 3


@pytest.mark.slow
def test_webcam_clip_shows_everyone():
    enrolled = {name: sample_identity(number) for number, name in enumerate(["Ada", "Ben", "Cem", "Dora"], 60)}
    strangers = [sample_identity(70), sample_identity(71)]
    frames, seen, found, wanted, counts = 0, [], 0, 0, []
    for index, (frame, truth) in enumerate(webcam_clip(enrolled, strangers, 4, frame_count=150)):
        frames += 1
        assert frame.shape == (480, 640, 3) and frame.dtype == np.uint8
        truth = [person for person in truth if person["visible"] >= MIN_VISIBLE]
        names = [person["name"] for person in truth]
        seen += names
        counts.append(len(names))
        if index % 5 == 0:
            boxes = [face.box for face in find_faces(frame)]
            wanted += len(truth)
            for person in truth:
                found += max((intersection_over_union(person["box"], box) for box in boxes), default=0) > 0.4
        for x, y, w, h in (person["box"] for person in truth):
            assert x >= 0 and y >= 0 and x + w <= 640 and y + h <= 480
    assert frames == 150
    assert set(seen) == {*enrolled, None}
    assert set(counts) == {0, 1, 2}
    assert wanted >= 20 and found / wanted >= 0.95


@pytest.mark.slow
def test_every_stranger_gets_a_turn():
    strangers = [sample_identity(number) for number in (80, 81, 82)]
    present = [len(truth) > 0 for _, truth in webcam_clip({}, strangers, 1, frame_count=90, size_wh=(320, 240))]
    starts = sum(now and not before for before, now in zip([False, *present[:-1]], present, strict=True))
    assert starts == len(strangers)


def test_clip_repeats_itself():
    people = {"Ada": sample_identity(60)}
    first, again = (list(webcam_clip(people, [], 2, frame_count=12, size_wh=(320, 240))) for _ in range(2))
    assert all(np.array_equal(a, b) and s == t for (a, s), (b, t) in zip(first, again, strict=True))


def test_contact_sheet_holds_every_image():
    images = [np.full((40, 30 + 10 * k, 3), 40 * k, np.uint8) for k in range(5)]
    sheet = contact_sheet(images, columns=3, tile=32)
    assert sheet.dtype == np.uint8 and sheet.shape[0] < sheet.shape[1]
    assert all((sheet == 40 * k).all(axis=2).sum() >= 32 * 32 for k in range(5))
    assert cv2.countNonZero((sheet == sheet[0, 0]).all(axis=2).astype(np.uint8)) > 32 * 32
