"""dlib's detector and landmarks."""

from utils.faces.detection import load_detector
from utils.faces.dlib_hog import dlib_landmarks
from utils.media.images import resize_chip


def test_dlib_landmarks_lie_on_the_face(photos):
    (face,) = load_detector("dlib", 20)(photos[0])
    points = dlib_landmarks(photos[0], face.box)
    x, y, w, h = face.box
    assert ((points > (x, y)) & (points < (x + w, y + h))).all()
    assert resize_chip(photos[0], 100).shape == (100, 100, 3)
