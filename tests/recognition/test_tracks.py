"""Tracking: overlap, association, and what starts, continues and ends a track."""

import numpy as np
from support import measured_face

from utils.recognition.tracks import CHANGED_FACE, MAX_ABSENCE, UNCERTAIN_ABSENCE, Tracks, associate


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
