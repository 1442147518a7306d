"""Tracking: overlap, association, and what starts, continues and ends a track."""

import cv2
import numpy as np
import pytest
from support import measured_face

from utils.faces.boxes import intersection_over_union, overlap_matrix
from utils.faces.motion import gray_copy, move_boxes, same_scene, track_boxes
from utils.recognition.tracks import CHANGED_FACE, MAX_ABSENCE, UNCERTAIN_ABSENCE, Tracks, associate


def test_overlaps_are_those_of_single_boxes():
    rng = np.random.default_rng(0)
    first, second = (np.c_[rng.integers(0, 60, (n, 2)), rng.integers(0, 40, (n, 2))] for n in (12, 9))
    expected = [[intersection_over_union(tuple(a), tuple(b)) for b in second.tolist()] for a in first.tolist()]
    assert overlap_matrix(first, second) == pytest.approx(np.array(expected), abs=1e-12)
    assert overlap_matrix(np.empty((0, 4)), second).shape == (0, 9)


def test_the_best_overlap_is_paired_first_and_nothing_twice():
    tracked = np.array([[0, 0, 10, 10], [4, 0, 10, 10]])
    detected = np.array([[5, 0, 10, 10], [100, 0, 10, 10], [1, 0, 10, 10]])
    assert sorted(associate(tracked, detected)) == [(0, 2), (1, 0)]
    assert associate(tracked, np.array([[50, 50, 10, 10]])) == []
    assert associate(np.empty((0, 4)), detected) == [] == associate(tracked, np.empty((0, 4)))


def test_two_faces_keep_their_ids_as_they_move():
    tracks = Tracks()
    for step in range(30):
        faces = [measured_face(100 + 5 * step), measured_face(400 - 5 * step, y=250)]
        faces = faces[::-1] if step % 2 else faces  # the detector's order means nothing
        ids = {track.box[1]: track.track_id for track in tracks.update(faces, step / 30)}
        assert ids == {100: 1, 250: 2}


def test_ids_are_never_reused_and_absence_makes_uncertain():
    tracks = Tracks()
    (first,) = tracks.update([measured_face(100)], 0.0)
    assert tracks.update([], 0.05) == []
    (again,) = tracks.update([measured_face(104)], UNCERTAIN_ABSENCE / 2)
    assert again is first and not again.uncertain
    (again,) = tracks.update([measured_face(104)], UNCERTAIN_ABSENCE / 2 + 2 * UNCERTAIN_ABSENCE)
    assert again is first and again.uncertain
    other = tracks.restart(again)
    assert other.track_id == 2 and other in tracks.alive and again not in tracks.alive
    assert not other.uncertain and other.box.tolist() == list(again.face.box)
    (later,) = tracks.update([measured_face(104)], 10 + MAX_ABSENCE)
    assert later.track_id == 3
    tracks.cut()
    assert [track.track_id for track in tracks.update([measured_face(104)], 10.1 + MAX_ABSENCE)] == [4]


def test_a_sudden_change_of_looks_makes_uncertain():
    tracks = Tracks()
    for index, (brightness, uncertain) in enumerate(((0.0, False), (0.9 * CHANGED_FACE, False), (2.0, True))):
        (track,) = tracks.update([measured_face(100, thumbnail=brightness)], index / 30)
        assert track.track_id == 1 and track.uncertain == uncertain


def test_a_low_score_continues_a_track_but_starts_none():
    tracks = Tracks()
    assert tracks.update([measured_face(100, score=0.6)], 0.0) == []
    tracks.update([measured_face(100)], 0.1)
    faces = [measured_face(300, score=0.6), measured_face(103, score=0.6, quality=0.2)]
    seen = tracks.update(faces, 0.2)
    assert [(track.track_id, track.box[0], track.face.quality) for track in seen] == [(1, 103, 0.2)]


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
