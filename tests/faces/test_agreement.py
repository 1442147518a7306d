"""Which faces are sure without a second search, and where a close-up may hide."""

import numpy as np
import pytest

from utils.faces.agreement import SearchedFace, find_measured, is_sure, measure_spreads
from utils.faces.alignment import RETINAFACE_CHIP_POINTS, similarity_transform
from utils.faces.detection import MIN_SCORE
from utils.faces.photo_search import may_show_close_up
from utils.faces.retinaface import Candidates


def face(box=(100, 100, 100, 100), score: float = 1.0, spread: float = 0.04, points=None) -> SearchedFace:
    points = np.array(box[:2]) + box[2] * RETINAFACE_CHIP_POINTS if points is None else points
    transform = similarity_transform(points, RETINAFACE_CHIP_POINTS)
    return SearchedFace(box, score, points.astype(np.float32), transform, spread=spread)


def test_only_upright_faces_are_sure(photos):
    sure = {}
    for quarters in range(4):
        turned = [np.ascontiguousarray(np.rot90(photo, quarters)) for photo in photos]
        sure[quarters] = sum(any(map(is_sure, find_measured(photo, photo, 960, 1))) for photo in turned)
    assert sure[0] >= len(photos) - 1 and sure[1] == sure[2] == sure[3] == 0


def test_each_sign_of_doubt_counts():
    points = 100 * RETINAFACE_CHIP_POINTS
    profile = points + np.array([[-8, 0], [-25, 0], [-40, 0], [-8, 0], [-25, 0]])
    turned = points[:, ::-1] * [1, -1]
    assert is_sure(face())
    doubtful = face(score=0.98), face(spread=0.08), face(spread=np.inf), face(points=profile), face(points=turned)
    assert not any(map(is_sure, doubtful))


def test_spread_is_that_of_the_anchors_that_see_the_face():
    boxes = np.array([[0, 0, 40, 40]] * 5 + [[200, 200, 40, 40]], np.float32)
    landmarks = np.zeros((6, 5, 2), np.float32)
    landmarks[1:5] = [3, 4]  # 5 px away; the first is the face itself
    landmarks[5] = 300
    found = Candidates(boxes, np.array([0.99, 0.9, 0.9, 0.9, 0.9, 0.9], np.float32), landmarks, np.full(6, 32))
    np.testing.assert_allclose(measure_spreads(found, np.array([0, 5])), [4, np.inf])  # one anchor alone says nothing
    faint = found._replace(scores=np.full(6, 0.1, np.float32))
    assert np.isinf(measure_spreads(faint, np.array([0]))).all()


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([], False),
        ([face()], False),
        ([face(), face((100, 90, 110, 120), score=0.1)], False),  # a hint inside of a sure face
        ([face(), face((400, 400, 300, 300), score=0.1)], True),
        ([face(spread=0.3)], False),  # small
        ([face((0, 0, 300, 300), spread=0.3)], True),
    ],
)
def test_where_a_close_up_may_hide(seen, expected):
    assert MIN_SCORE > 0.1
    assert may_show_close_up(seen, 200) == expected
