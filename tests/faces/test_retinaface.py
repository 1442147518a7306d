"""RetinaFace: parity with the package's own decoding."""

import numpy as np

from utils.faces.retinaface import LARGEST_ANCHOR, detect_retinaface, find_candidates, load_retinaface


def test_decoding_equals_the_packages_own(photos):
    import retinaface

    for photo in photos:
        boxes, scores, landmarks = detect_retinaface(photo, 0.8, load_retinaface())
        expected = retinaface.detect_faces(photo, score_threshold=0.8)
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
