"""Optical flow: boxes follow their pixels, and a cut is not confused with a change of light."""

import cv2
import numpy as np
import pytest

from utils.faces.motion import gray_copy, move_boxes, same_scene, track_boxes


def test_boxes_move_with_the_pixels_under_them():
    rng = np.random.default_rng(3)
    wall = cv2.GaussianBlur(rng.integers(0, 255, (480, 640, 3), np.uint8), (0, 0), 4)
    thing = cv2.GaussianBlur(rng.integers(0, 255, (120, 100, 3), np.uint8), (0, 0), 3)

    def frame(x: int, y: int, zoom: float = 1.0) -> np.ndarray:
        image = wall.copy()
        sized = cv2.resize(thing, None, fx=zoom, fy=zoom)
        image[y : y + sized.shape[0], x : x + sized.shape[1]] = sized
        return image

    before, after = gray_copy(frame(200, 150)), gray_copy(frame(222, 140, 1.1))
    assert before.shape == (240, 320)
    moved, still = track_boxes(before, after, np.array([[200, 150, 100, 120], [20, 20, 80, 80]]), scale=0.5)
    assert moved == pytest.approx([222, 140, 110, 132], abs=4)
    assert still == pytest.approx([20, 20, 80, 80], abs=1)
    assert track_boxes(before, after, np.empty((0, 4)), 0.5).shape == (0, 4)
    # In a frame of another size, or on a plain wall, there is nothing to track: boxes stay.
    flat = np.full((240, 320), 90, np.uint8)
    for other in (gray_copy(np.zeros((100, 100, 3), np.uint8)), flat):
        assert np.isfinite(track_boxes(before, other, np.array([[200, 150, 100, 120]]), 0.5)).all()


def test_a_cut_is_noticed_and_a_change_of_light_is_not():
    rng = np.random.default_rng(4)
    one, two = (
        gray_copy(cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC))
        for _ in range(2)
    )
    assert same_scene(one, one) and same_scene(one, (one * 0.4 + 20).astype(np.uint8))
    assert same_scene(one, np.roll(one, 3, axis=1))
    assert not same_scene(one, two)
    assert same_scene(np.zeros_like(one), np.zeros_like(one))


def test_boxes_move_to_a_later_frame_and_are_clipped():
    rng = np.random.default_rng(4)
    wall = cv2.resize(rng.integers(0, 255, (12, 20, 3), np.uint8), (1000, 480), interpolation=cv2.INTER_CUBIC)
    before = gray_copy(wall[:, 100:740])
    inside, clipped = move_boxes(before, wall[:, 120:760], [(300, 200, 80, 100), (5, 50, 80, 100)])
    assert inside == pytest.approx((280, 200, 80, 100), abs=2)
    assert clipped[0] == 0 and 55 <= clipped[2] <= 75  # both moved 20 pixels to the left
    assert move_boxes(before, 255 - wall[:, 100:740], [(300, 200, 80, 100)]) == [None]
