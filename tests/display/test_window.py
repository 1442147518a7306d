"""A window's size and keys, without a screen."""

import os

import cv2
import numpy as np
import pytest

from utils.display.window import BACKSPACE, CAPS_LOCK, ENTER, ESCAPE, LEFT, RIGHT, SHIFT, Window, decode_key, fit_size


@pytest.mark.parametrize(
    ("code", "key"),
    [
        *[(-1, ""), (97, "a"), (0x31, "1"), (27, ESCAPE), (13, ENTER), (8, BACKSPACE), (0xFFE1, SHIFT)],
        *[(-0x35, "ë"), (0x1000436, "ж"), (0x1000141, "Ł"), (0xFE57, "\u0308"), (0xFFE5, CAPS_LOCK)],
        *[(0xFF51, LEFT), (0xFF53, RIGHT), (0xFF52, ""), (0xFFBE, ""), (9, "")],
    ],
)
def test_keys_are_decoded(code, key):
    assert decode_key(code) == key


def test_a_window_is_no_larger_than_a_screen():
    sizes = {(640, 480): (640, 480), (1920, 1080): (1280, 720), (3000, 4000): (600, 800), (9000, 1): (1280, 1)}
    assert {size: fit_size(size, (1280, 800)) for size in sizes} == sizes


def test_a_window_takes_the_size_of_its_images_and_hears_clicks(monkeypatch):
    sizes, shown, clicks, mouse = [], [], [], []
    monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
    monkeypatch.setattr(cv2, "resizeWindow", lambda _, width, height: sizes.append((width, height)))
    monkeypatch.setattr(cv2, "setMouseCallback", lambda _, handle: mouse.append(handle))
    monkeypatch.setattr(cv2, "imshow", lambda _, image: shown.append(image.shape))
    before = dict(os.environ)
    window = Window("a title", lambda x, y: clicks.append((x, y)))
    assert dict(os.environ) == before
    for shape in ((480, 640, 3), (480, 640, 3), (120, 160, 3), (4000, 3000, 3)):
        window.show(np.zeros(shape, np.uint8))
    assert sizes == [(640, 480), (160, 120), (600, 800)]  # resized only where the size changes
    assert shown == [(480, 640, 3), (480, 640, 3), (120, 160, 3), (4000, 3000, 3)]
    for event in (cv2.EVENT_MOUSEMOVE, cv2.EVENT_LBUTTONDOWN, cv2.EVENT_LBUTTONUP):
        mouse[0](event, 3, 4, 0, None)
    assert clicks == [(3, 4)]
