"""RetinaFace: parity with the package's own decoding."""

import threading
import time

import numpy as np

from utils.faces import retinaface
from utils.faces.retinaface import (
    LARGEST_ANCHOR,
    MAX_OWN,
    MAX_SEEN,
    RECURRENCES,
    RetinaFace,
    detect_retinaface,
    find_candidates,
    load_retinaface,
)


def test_decoding_equals_the_packages_own(photos):
    import retinaface as package

    for photo in photos:
        boxes, scores, landmarks = detect_retinaface(photo, 0.8, load_retinaface())
        expected = package.detect_faces(photo, score_threshold=0.8)
        assert len(boxes) == len(expected) == 1
        face = expected[0]
        np.testing.assert_allclose(boxes[0], (face.x, face.y, face.width, face.height), atol=1)
        np.testing.assert_allclose(scores[0], face.score, atol=1e-5)
        np.testing.assert_allclose(landmarks[0], [(p.x, p.y) for p in face.landmarks], atol=1)


def test_the_largest_anchors_have_a_limit_of_their_own(photos):
    network = load_retinaface()
    found = find_candidates(photos[0], 0.5, 1e-6, network)
    assert (found.anchors[found.scores <= 0.5] == LARGEST_ANCHOR).all() and (found.scores <= 0.5).sum() > 10
    np.testing.assert_array_equal(
        find_candidates(photos[0], 0.5, 0.5, network).scores, found.scores[found.scores > 0.5]
    )


def test_recurring_sizes_get_networks_of_their_own(monkeypatch):
    monkeypatch.setattr(retinaface, "Loading", Loaded)
    network = RetinaFace(lambda size_hw: size_hw or "any")
    assert [network.pick((1, 1)) for _ in range(RECURRENCES)] == ["any"] * (RECURRENCES - 1) + [(1, 1)]
    picked = [network.pick((size, 2)) for _ in range(RECURRENCES) for size in range(MAX_OWN)]
    # What is picked first of all is decided: there is room for one size less.
    assert picked[-MAX_OWN:] == [*((size, 2) for size in range(MAX_OWN - 1)), "any"]
    assert network.pick((1, 1)) == (1, 1)
    assert {network.pick((size, 3)) for size in range(2 * MAX_SEEN)} == {"any"}


class Loaded:
    """A `Loading` that is done at once."""

    done = True

    def __init__(self, load):
        self.result = load


def test_images_do_not_wait_for_their_network():
    free = threading.Event()
    network = RetinaFace(lambda size_hw: free.wait(60) and size_hw if size_hw else "any")
    assert [network.pick((1, 1)) for _ in range(2 * RECURRENCES)] == ["any"] * 2 * RECURRENCES
    free.set()
    while network.pick((1, 1)) != (1, 1):
        time.sleep(0.01)


def test_own_networks_give_the_same_results(photos):
    shared = load_retinaface()
    own = shared.load(photos[0].shape[:2])
    assert own.inputs == [(1, *photos[0].shape)] and len(own.outputs) == 9
    for first, second in zip(own(photos[0][None]), shared._for_any(photos[0][None]), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-4)
