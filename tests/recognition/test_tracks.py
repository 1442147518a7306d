"""Following faces: overlap, association, optical flow, and names over several looks."""

from types import MappingProxyType

import cv2
import numpy as np
import pytest

from utils.faces.alignment import Face
from utils.faces.boxes import intersection_over_union, overlap_matrix
from utils.faces.motion import gray_copy, move_boxes, same_scene, track_boxes
from utils.features.feature_files import FeatureSet
from utils.log_odds import probabilities
from utils.recognition.gallery import Gallery, decide
from utils.recognition.naming import (
    FIRST_OBSERVATIONS,
    MAX_OBSERVATIONS,
    NAMED_GAP,
    UNKNOWN_GAP,
    add_observation,
    combined_log_odds,
    is_due,
    update_names,
)
from utils.recognition.recognizer import Recognizer
from utils.recognition.tracks import ABSENCE, MEMORY, Observation, Track, Tracks, associate


def face(x, y=100, w=60, h=80, score=0.99) -> Face:
    return Face((x, y, w, h), score, np.zeros((5, 2), np.float32), np.eye(2, 3))


def test_overlaps_are_those_of_single_boxes():
    rng = np.random.default_rng(0)
    first, second = (np.c_[rng.integers(0, 60, (n, 2)), rng.integers(0, 40, (n, 2))] for n in (12, 9))
    expected = [[intersection_over_union(tuple(a), tuple(b)) for b in second.tolist()] for a in first.tolist()]
    assert overlap_matrix(first, second) == pytest.approx(np.array(expected), abs=1e-12)
    assert overlap_matrix(np.empty((0, 4)), second).shape == (0, 9)


def test_the_best_overlap_goes_first_and_nothing_goes_twice():
    before = np.array([[0, 0, 10, 10], [4, 0, 10, 10]])
    found = np.array([[5, 0, 10, 10], [100, 0, 10, 10], [1, 0, 10, 10]])
    assert sorted(associate(before, found)) == [(0, 2), (1, 0)]
    assert associate(before, np.array([[50, 50, 10, 10]])) == []
    assert associate(np.empty((0, 4)), found) == [] == associate(before, np.empty((0, 4)))


def test_two_faces_keep_their_numbers_as_they_move():
    tracks = Tracks()
    for step in range(30):
        faces = [face(100 + 5 * step), face(400 - 5 * step, y=250)]
        faces = faces[::-1] if step % 2 else faces  # the detector's order means nothing
        seen = {track.box[1]: track.track_id for track in tracks.update(faces, [0.5, 0.5], step / 30)}
        assert seen == {100: 1, 250: 2}


def test_numbers_are_not_used_again_and_an_absent_face_is_doubted():
    tracks = Tracks()
    (first,) = tracks.update([face(100)], [0.5], 0.0)
    assert tracks.update([], [], 0.05) == []
    (again,) = tracks.update([face(104)], [0.5], ABSENCE / 2)
    assert again is first and not again.uncertain
    (again,) = tracks.update([face(104)], [0.5], ABSENCE / 2 + 2 * ABSENCE)
    assert again is first and again.uncertain
    other = tracks.renew(again)
    assert other.track_id == 2 and other in tracks.alive and again not in tracks.alive
    (later,) = tracks.update([face(104)], [0.5], 10 + MEMORY)
    assert later.track_id == 3
    tracks.cut()
    assert [track.track_id for track in tracks.update([face(104)], [0.5], 10.1 + MEMORY)] == [4]


def test_a_weak_detection_goes_on_a_track_but_begins_none():
    tracks = Tracks()
    assert tracks.update([face(100, score=0.6)], [0.5], 0.0) == []
    tracks.update([face(100)], [0.5], 0.1)
    seen = tracks.update([face(300, score=0.6), face(103, score=0.6)], [0.5, 0.2], 0.2)
    assert [(track.track_id, track.box[0], track.quality) for track in seen] == [(1, 103, 0.2)]


def test_boxes_move_with_the_pixels_under_them():
    rng = np.random.default_rng(3)
    wall = cv2.GaussianBlur(rng.integers(0, 255, (480, 640, 3), np.uint8), (0, 0), 4)
    thing = cv2.GaussianBlur(rng.integers(0, 255, (120, 100, 3), np.uint8), (0, 0), 3)

    def picture(x, y, zoom=1.0):
        image = wall.copy()
        sized = cv2.resize(thing, None, fx=zoom, fy=zoom)
        image[y : y + sized.shape[0], x : x + sized.shape[1]] = sized
        return image

    before, after = gray_copy(picture(200, 150)), gray_copy(picture(222, 140, 1.1))
    assert before.shape == (240, 320)
    moved, still = track_boxes(before, after, np.array([[200, 150, 100, 120], [20, 20, 80, 80]]), scale=0.5)
    assert moved == pytest.approx([222, 140, 110, 132], abs=4)
    assert still == pytest.approx([20, 20, 80, 80], abs=1)
    assert track_boxes(before, after, np.empty((0, 4)), 0.5).shape == (0, 4)
    # A picture of another size, or a wall without a mark: boxes stay.
    flat = np.full((240, 320), 90, np.uint8)
    for other in (gray_copy(np.zeros((100, 100, 3), np.uint8)), flat):
        assert np.isfinite(track_boxes(before, other, np.array([[200, 150, 100, 120]]), 0.5)).all()


def test_a_cut_is_seen_and_a_lamp_is_none():
    rng = np.random.default_rng(4)
    one, two = (
        gray_copy(cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC))
        for _ in range(2)
    )
    assert same_scene(one, one) and same_scene(one, (one * 0.4 + 20).astype(np.uint8))
    assert same_scene(one, np.roll(one, 3, axis=1))
    assert not same_scene(one, two)
    assert same_scene(np.zeros_like(one), np.zeros_like(one))


def test_boxes_are_carried_to_a_later_picture_and_cut_at_its_border():
    rng = np.random.default_rng(4)
    wall = cv2.resize(rng.integers(0, 255, (12, 20, 3), np.uint8), (1000, 480), interpolation=cv2.INTER_CUBIC)
    before = gray_copy(wall[:, 100:740])
    first, cut = move_boxes(before, wall[:, 120:760], [(300, 200, 80, 100), (5, 50, 80, 100)])
    assert first == pytest.approx((280, 200, 80, 100), abs=2)
    assert cut[0] == 0 and 55 <= cut[2] <= 75  # they went to the left, by 20 pixels
    assert move_boxes(before, 255 - wall[:, 100:740], [(300, 200, 80, 100)]) == [None]


class SmallGallery:
    """Names and the gallery's own rule, without features."""

    names = ("ada", "bea")
    index_of = MappingProxyType({"ada": 0, "bea": 1})
    threshold = 0.8

    def decide(self, scores):
        return decide(scores, list(self.names), self.threshold)


def track_with(*scores, quality=0.5, gap=0.5) -> Track:
    track = Track(1, face(100), np.zeros(4), quality, 0.0, 0.0)
    for index, row in enumerate(scores):
        add_observation(track, Observation(np.zeros(2), np.array(row), quality, index * gap), SmallGallery())
        update_names([track], SmallGallery())
    return track


def test_a_name_needs_two_looks_or_a_clear_one():
    assert track_with([0.85, 0.1]).name is None
    assert track_with([0.85, 0.1], [0.85, 0.1]).name == "ada"
    clear = track_with([0.97, 0.1])
    assert clear.name == "ada" and clear.score == pytest.approx(0.97)


def test_one_bad_look_does_not_take_a_name_and_one_good_one_gives_none():
    assert track_with([0.95, 0.1], [0.95, 0.1], [0.4, 0.1]).name == "ada"
    stranger = track_with([0.3, 0.1], [0.2, 0.1], [0.9, 0.1])
    assert stranger.name is None and stranger.score < 0.8


def test_a_name_goes_when_the_evidence_is_gone():
    assert track_with([0.95, 0.1], [0.95, 0.1], *[[0.05, 0.1]] * 8).name is None


def test_looks_of_somebody_else_begin_anew():
    track = track_with(*[[0.99, 0.01]] * 6, [0.02, 0.98])
    assert track.name == "ada" and is_due(track, track.observations[-1].time)  # in doubt: looked at at once
    track = track_with(*[[0.99, 0.01]] * 6, [0.02, 0.98], [0.02, 0.98])
    assert track.name == "bea" and len(track.observations) == 2


def test_a_name_never_goes_to_two_faces_and_stays_where_it_is():
    first, second = track_with([0.9, 0.1], [0.9, 0.1]), track_with([0.3, 0.2])
    second.observations, second.odds = [Observation(np.zeros(2), np.array([0.93, 0.1]), 0.5, 0.5)] * 2, None
    update_names([first, second], SmallGallery())
    assert (first.name, second.name) == ("ada", None)
    update_names([second, first], SmallGallery())
    assert (first.name, second.name) == ("ada", None)


def test_a_denied_name_is_not_given_again():
    track = track_with([0.99, 0.4], [0.99, 0.4])
    track.denied.add("ada")
    update_names([track], SmallGallery())
    assert track.name is None


def test_good_looks_count_more_and_crowded_ones_less():
    good = Observation(np.zeros(2), np.array([0.95, 0.1]), 0.9, 0.0)
    bad = Observation(np.zeros(2), np.array([0.05, 0.1]), 0.1, 1.0)
    assert probabilities(combined_log_odds([good, bad]))[0] > 0.8
    burst = [Observation(np.zeros(2), np.array([0.3, 0.1]), 0.5, t / 100) for t in range(5)]
    later = Observation(np.zeros(2), np.array([0.97, 0.1]), 0.5, 2.0)
    assert probabilities(combined_log_odds([*burst, later]))[0] > 0.7
    track = track_with(*[[0.9, 0.1]] * (MAX_OBSERVATIONS + 5))
    assert len(track.observations) == MAX_OBSERVATIONS and track.observations[-1].time == (MAX_OBSERVATIONS + 4) * 0.5


def test_when_a_face_is_looked_at():
    track = track_with(*[[0.3, 0.1]] * (FIRST_OBSERVATIONS - 1))
    last = track.observations[-1].time
    assert is_due(track, last)  # still new
    track = track_with(*[[0.3, 0.1]] * FIRST_OBSERVATIONS)
    last = track.observations[-1].time
    assert not is_due(track, last + 0.05) and is_due(track, last + UNKNOWN_GAP + 0.01)
    track.quality = 0.9  # clearly better than any look
    assert not is_due(track, last + 0.05) and is_due(track, last + 0.15)
    named = track_with(*[[0.99, 0.1]] * FIRST_OBSERVATIONS)
    assert not is_due(named, named.observations[-1].time + UNKNOWN_GAP + 0.01) and is_due(
        named, named.observations[-1].time + NAMED_GAP
    )
    named.uncertain = True
    assert is_due(named, last)


def test_who_leaves_the_gallery_leaves_the_faces_that_are_not_looked_at_anew():
    class Head:
        def threshold_for(self, people):
            return 0.6

        def score_gallery(self, probes, gallery):
            return np.exp(-np.linalg.norm(probes[:, None] - gallery[None], axis=2))

    ada, bea = np.zeros((2, 2), np.float32), np.full((1, 2), 5, np.float32)
    gallery = Gallery(FeatureSet(ada, np.zeros(2, int), ["ada"], None), Head(), None, None)
    gallery.add("bea", bea)
    recognizer = Recognizer(None, None, gallery)
    for number, embedding in enumerate((ada[0], bea[0]), start=1):
        track = Track(number, face(100), np.zeros(4), 0.5, 0.0, 0.0)
        for index in range(4):
            add_observation(
                track, Observation(embedding, gallery.scores(embedding[None])[0], 0.5, index * 0.3), gallery
            )
        recognizer.tracks.alive.append(track)
    recognizer.visible = list(recognizer.tracks.alive)
    recognizer.update_names()
    assert [track.name for track in recognizer.visible] == ["ada", "bea"]
    gallery.remove("bea", 1)
    recognizer.rescore()
    recognizer.update_names()
    assert [track.name for track in recognizer.visible] == ["ada", None]
