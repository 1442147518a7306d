"""Which face of a crowded photo is the person's own."""

import numpy as np

from utils.recognition.face_choice import choose_own_faces

RNG = np.random.default_rng(4)
ADA, BEA, CEM, DAN = np.eye(200)[:4]


def look(person: np.ndarray) -> np.ndarray:
    """Features of one photo of a person: two photos are about half as far apart as two people."""
    return person + 0.03 * RNG.normal(size=200)


def test_the_face_that_the_photos_have_in_common_is_chosen():
    photos = [[BEA, ADA], [ADA], [ADA, CEM], [DAN, BEA, ADA], [ADA]]
    features = [np.array([look(person) for person in photo]) for photo in photos]
    assert choose_own_faces(features) == [1, 0, 0, 2, 0]


def test_friends_in_every_photo_are_unsure():
    features = [np.array([look(ADA), look(BEA)]) for _ in range(4)]
    assert choose_own_faces(features) == [None] * 4


def test_a_photo_without_the_person_is_unsure():
    features = [np.array([look(ADA)]) for _ in range(4)]
    features.append(np.array([look(BEA), look(CEM)]))
    assert choose_own_faces(features) == [0, 0, 0, 0, None]


def test_a_single_photo_has_nothing_to_agree_with():
    assert choose_own_faces([np.array([look(ADA), look(BEA)])]) == [None]
    assert choose_own_faces([np.array([look(ADA)])]) == [0]
    assert choose_own_faces([]) == []
