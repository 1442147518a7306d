"""Labels stay in sight: within the rows that bars leave free, and clear of each other."""

import itertools

import numpy as np
import pytest

from utils.display.drawing import KNOWN_COLOR, Box, draw_message, draw_status
from utils.display.labels import draw_labels, name_label
from utils.live.controls import KEYS

WIDTH, HEIGHT = 640, 480
WHOLE = [(0, 0, WIDTH, HEIGHT), (40, -5, 560, 500), (20, 20, 600, 440)]
AT_EDGES = [(x, y, 150, 180) for x, y in itertools.product((0, 245, 490), (0, 150, 300))]


def picture() -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), 120, np.uint8)


def place(boxes: list[Box], top: int = 0, bottom: int = HEIGHT, image: np.ndarray | None = None) -> list[Box]:
    labels = [name_label(box, "Céline Lovelace", 0.97) for box in boxes]
    return draw_labels(picture() if image is None else image, labels, top, bottom)


@pytest.mark.parametrize("box", [*WHOLE, *AT_EDGES])
def test_a_label_is_whole_between_the_bars(box):
    image = picture()
    top, bottom = (
        draw_message(image, "camera lost, trying again", warning=True),
        HEIGHT - draw_status(image, "", "", KEYS),
    )
    before = image.copy()
    ((x, y, w, h),) = place([box], top, bottom, image)
    assert x >= 0 and x + w <= WIDTH and top <= y and y + h <= bottom
    np.testing.assert_array_equal(image[:top], before[:top])
    np.testing.assert_array_equal(image[bottom:], before[bottom:])
    assert (image[y : y + h, x : x + w] == KNOWN_COLOR).all(axis=2).mean() > 0.5


@pytest.mark.parametrize("boxes", [WHOLE, AT_EDGES, [(200 + 9 * n, 120, 200, 250) for n in range(6)], [WHOLE[0]] * 8])
def test_labels_do_not_cover_each_other(boxes):
    covered = np.zeros((HEIGHT, WIDTH), int)
    for x, y, w, h in place(boxes, 50, 400):
        covered[y : y + h, x : x + w] += 1
    assert covered.max() == 1 and not covered[:50].any() and not covered[400:].any()


def test_a_label_is_above_its_box_else_below_it_else_inside():
    ((_, above, _, height),) = place([(200, 100, 150, 200)])
    ((_, below, *_),) = place([(200, 10, 150, 200)])
    ((_, inside, *_),) = place([(200, 10, 150, 460)])
    assert above + height in range(95, 101) and below in range(210, 215) and inside in range(10, 15)


def test_without_room_a_label_is_drawn_somewhere():
    assert place([(0, 0, 640, 480)], 300, 310)
    assert draw_labels(np.zeros((9, 9, 3), np.uint8), [name_label((0, 0, 9, 9), None, 0.1)] * 3)
    many = place([(0, 0, 640, 480)] * 60)
    assert len(many) == 60 and all(y >= 0 and y + h <= HEIGHT for _, y, _, h in many)


def test_a_number_is_shown_before_the_name():
    assert (
        name_label((0, 0, 9, 9), "Ada", 0.9, 2).text == "2  Ada"
        and name_label((0, 0, 9, 9), None, 0.1, 1).text[0] == "1"
    )


def test_a_star_marks_a_name_without_support():
    assert name_label((0, 0, 9, 9), "Ada", 0.97, star=True).aside == "97%*"
    assert name_label((0, 0, 9, 9), "Ada", 0.97).aside == "97%"
