"""RetinaFace: parity with the package's own decoding."""

import cv2
import numpy as np
import pytest

from utils.faces.retinaface import LARGEST_ANCHOR, MEAN_BGR, _network_input, detect_retinaface, find_candidates


def test_decoding_equals_the_packages_own(photos):
    import retinaface

    for photo in photos:
        boxes, scores, landmarks = detect_retinaface(photo, 0.8)
        expected = retinaface.detect_faces(photo, score_threshold=0.8)
        assert len(boxes) == len(expected) == 1
        face = expected[0]
        np.testing.assert_allclose(boxes[0], (face.x, face.y, face.width, face.height), atol=1)
        np.testing.assert_allclose(scores[0], face.score, atol=1e-5)
        np.testing.assert_allclose(landmarks[0], [(p.x, p.y) for p in face.landmarks], atol=1)


@pytest.mark.parametrize("size_wh", [(64, 48), (7, 1)])
def test_the_networks_input_equals_opencvs(size_wh):
    image = np.random.default_rng(0).integers(0, 256, (*size_wh[::-1], 3), np.uint8)
    assert np.array_equal(_network_input(image), cv2.dnn.blobFromImage(image, mean=MEAN_BGR, swapRB=True))


def test_the_largest_anchors_have_a_limit_of_their_own(photos):
    found = find_candidates(photos[0], 0.5, 1e-6)
    assert (found.anchors[found.scores <= 0.5] == LARGEST_ANCHOR).all() and (found.scores <= 0.5).sum() > 10
    np.testing.assert_array_equal(find_candidates(photos[0], 0.5, 0.5).scores, found.scores[found.scores > 0.5])
