"""The recognizer: faces that change places, and people who are removed from the gallery."""

import numpy as np
from support import draw_selfies, measured_face, recognize_all

from utils.features.feature_files import FeatureSet
from utils.recognition.gallery import Gallery
from utils.recognition.naming import add_observation
from utils.recognition.recognizer import Recognizer
from utils.recognition.tracks import Observation, Track


def test_another_person_in_the_same_place_gets_no_old_name(home_setup):
    """As when two people cross: the boxes overlap from frame to frame, but the faces differ."""
    recognizer, *_ = home_setup
    first, second = draw_selfies(101, 1)[0], draw_selfies(102, 1)[0]
    pictures = [first] * 8 + [second] * 8
    seen = recognize_all(recognizer, pictures, step=0.05)
    assert [[face.name for face in faces] for faces in seen[2:8]] == [["person 1"]] * 6
    after = [face.name for faces in seen[8:] for face in faces]
    assert "person 1" not in after and after[-6:] == ["person 2"] * 6


class FakeHead:
    """Scores by distance."""

    def threshold_for(self, people: int) -> float:
        return 0.6

    def score_gallery(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        return np.exp(-np.linalg.norm(probes[:, None] - gallery[None], axis=2))


def test_rescoring_removes_the_names_of_removed_people():
    ada, bea = np.zeros((2, 2), np.float32), np.full((1, 2), 5, np.float32)
    gallery = Gallery(FeatureSet(ada, np.zeros(2, int), ["ada"], None), FakeHead(), None, None)
    gallery.add("bea", bea)
    recognizer = Recognizer(None, None, gallery)
    for track_id, embedding in enumerate((ada[0], bea[0]), start=1):
        track = Track(track_id, measured_face(100), np.zeros(4), 0.0)
        scores = gallery.scores(embedding[None])[0]
        for index in range(4):
            add_observation(track, Observation(embedding, scores, 0.5, index * 0.3), gallery)
        recognizer.tracks.alive.append(track)
    recognizer.visible = list(recognizer.tracks.alive)
    recognizer.update_names()
    assert [track.name for track in recognizer.visible] == ["ada", "bea"]
    gallery.remove("bea", 1)
    recognizer.rescore()
    recognizer.update_names()
    assert [track.name for track in recognizer.visible] == ["ada", None]
