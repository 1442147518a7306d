"""Names over several observations: when a face gets one, keeps it and loses it."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from support import measured_face

from utils.log_odds import logits, probabilities
from utils.recognition.gallery import Decision, decide
from utils.recognition.naming import (
    FIRST_OBSERVATIONS,
    MAX_OBSERVATIONS,
    SETTLED_INTERVAL,
    UNKNOWN_INTERVAL,
    add_observation,
    combined_log_odds,
    is_due,
    update_names,
)
from utils.recognition.tracks import Observation, Track


class SmallGallery:
    """Names and the gallery's own rule, without features."""

    names = ("ada", "bea")
    index_of = MappingProxyType({"ada": 0, "bea": 1})
    threshold = 0.8

    def decide(self, scores: np.ndarray) -> list[Decision]:
        return decide(scores, list(self.names), self.threshold)


def observation(scores: list[float], time: float, quality: float = 0.5) -> Observation:
    return Observation(np.zeros(2), np.array(scores), quality, time)


def track_with(*scores: list[float]) -> Track:
    """A track with one observation every half second."""
    track = Track(1, measured_face(100), np.zeros(4), 0.0)
    for index, row in enumerate(scores):
        add_observation(track, observation(row, index * 0.5), SmallGallery())
        update_names([track], SmallGallery())
    return track


def test_a_name_needs_two_observations_or_a_clear_one():
    assert track_with([0.85, 0.1]).name is None
    assert track_with([0.85, 0.1], [0.85, 0.1]).name == "ada"
    clear = track_with([0.97, 0.1])
    assert clear.name == "ada" and clear.score == pytest.approx(0.97)


def test_one_lucky_picture_of_a_view_gives_no_name():
    lucky = [observation([score, 0.1], time) for score, time in ((0.5, 0.0), (0.95, 0.03), (0.5, 0.07))]
    assert combined_log_odds(lucky)[0] < 1.4 < logits(0.95) / 2  # about their mean


def test_a_single_observation_changes_no_name():
    assert track_with([0.95, 0.1], [0.95, 0.1], [0.4, 0.1]).name == "ada"
    stranger = track_with([0.3, 0.1], [0.2, 0.1], [0.9, 0.1])
    assert stranger.name is None and stranger.score < 0.8


def test_a_name_is_lost_when_the_evidence_is_gone():
    assert track_with([0.95, 0.1], [0.95, 0.1], *[[0.05, 0.1]] * 8).name is None


def test_observations_of_somebody_else_start_over():
    track = track_with(*[[0.99, 0.01]] * 6, [0.02, 0.98])
    assert track.name == "ada" and is_due(track, track.observations[-1].time)  # uncertain: observed at once
    track = track_with(*[[0.99, 0.01]] * 6, [0.02, 0.98], [0.02, 0.98])
    assert track.name == "bea" and len(track.observations) == 2


def test_no_two_faces_share_a_name_and_the_first_keeps_it():
    first, second = track_with([0.9, 0.1], [0.9, 0.1]), track_with([0.3, 0.2])
    second.observations, second.log_odds = [observation([0.93, 0.1], 0.5)] * 2, None
    update_names([first, second], SmallGallery())
    assert (first.name, second.name) == ("ada", None)
    update_names([second, first], SmallGallery())
    assert (first.name, second.name) == ("ada", None)


def test_a_denied_name_is_not_given_again():
    track = track_with([0.99, 0.4], [0.99, 0.4])
    track.denied.add("ada")
    update_names([track], SmallGallery())
    assert track.name is None


def test_good_observations_count_more_and_crowded_ones_less():
    good = observation([0.95, 0.1], 0.0, quality=0.9)
    bad = observation([0.05, 0.1], 1.0, quality=0.1)
    assert probabilities(combined_log_odds([good, bad]))[0] > 0.8
    burst = [observation([0.3, 0.1], step / 100) for step in range(5)]
    later = observation([0.97, 0.1], 2.0)
    assert probabilities(combined_log_odds([*burst, later]))[0] > 0.7
    track = track_with(*[[0.9, 0.1]] * (MAX_OBSERVATIONS + 5))
    assert len(track.observations) == MAX_OBSERVATIONS and track.observations[-1].time == (MAX_OBSERVATIONS + 4) * 0.5


def test_when_a_face_is_due_for_an_observation():
    track = track_with(*[[0.3, 0.1]] * (FIRST_OBSERVATIONS - 1))
    last = track.observations[-1].time
    assert is_due(track, last)  # still new
    track = track_with(*[[0.3, 0.1]] * FIRST_OBSERVATIONS)
    last = track.observations[-1].time
    assert not is_due(track, last + 0.05) and is_due(track, last + UNKNOWN_INTERVAL + 0.01)
    track.face = replace(track.face, quality=0.9)  # clearly better than before
    assert not is_due(track, last + 0.05) and is_due(track, last + 0.15)
    named = track_with(*[[0.99, 0.1]] * FIRST_OBSERVATIONS)
    last = named.observations[-1].time
    assert not is_due(named, last + UNKNOWN_INTERVAL + 0.01) and is_due(named, last + SETTLED_INTERVAL)
    named.uncertain = True
    assert is_due(named, last)
    stranger = track_with(*[[0.1, 0.1]] * MAX_OBSERVATIONS)
    last = stranger.observations[-1].time
    assert not is_due(stranger, last + UNKNOWN_INTERVAL + 0.01) and is_due(stranger, last + SETTLED_INTERVAL)
    stranger.face = replace(stranger.face, quality=0.9)  # comes nearer
    assert is_due(stranger, last + 0.15)
