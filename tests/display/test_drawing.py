"""Drawing on pictures: any name and any size, in place, and never an exception in the middle of a run."""

import numpy as np
import pytest

from utils.capture import controls as capture
from utils.display import drawing
from utils.display.drawing import (
    KEY_COLOR,
    KNOWN_COLOR,
    UNKNOWN_COLOR,
    WARNING_COLOR,
    Box,
    draw_countdown,
    draw_entry,
    draw_help,
    draw_inset,
    draw_message,
    draw_plain_face,
    draw_status,
    draw_text,
    mirror,
    text_height,
)
from utils.display.labels import draw_labels, name_label
from utils.display.text import text_mask
from utils.display.viewers import while_paused
from utils.live import controls as live

KEYS = [("h", "help"), ("q", "quit"), ("s", "save")]


def draw_face(image: np.ndarray, box: Box, name: str | None, score: float) -> None:
    draw_plain_face(image, box, good=name is not None)
    draw_labels(image, [name_label(box, name, score)])


def count(image, color) -> int:
    return int((image == color).all(axis=2).sum())


@pytest.mark.parametrize(
    "name", ["", " ", "a\udc80b", "two\nlines\t", "\x00", "नरेन्द्र", "สมชาย", "🚀", "e\u0301", "❤\ufe0f"]
)
def test_odd_names_are_drawn_somehow(name):
    """OpenCV crashes the process on undecodable bytes of a file name, so they must not reach it."""
    assert text_mask(name, 30).shape[0] == 45
    image = np.zeros((100, 200, 3), np.uint8)
    draw_face(image, (20, 40, 60, 50), name, 0.5)
    assert count(image, KNOWN_COLOR) > 100


def draw_everything(image: np.ndarray) -> None:
    height, width = image.shape[:2]
    for box in ((width // 4, height // 4, width // 2, height // 2), (0, 0, width, height), (width - 1, 0, 1, 1)):
        draw_face(image, box, "Zoë Ångström of Somewhere Far Away", 0.97)
        draw_face(image, box, None, 0.2)
        draw_plain_face(image, box, True)
    draw_inset(image, np.full((224, 224, 3), 200, np.uint8), 30)
    draw_status(image, "ada: 3 saved", "29.8 frames/s   41 ms", KEYS, "100.8 frames/s   1000 ms")
    draw_status(image, "")
    draw_message(image, "enrolling ada: 3 of 5 – turn a little to your left", progress=0.6)
    draw_message(image, "camera lost, retrying", warning=True, progress=2.0)
    draw_entry(image, "Who is this?", "Наталья" * 20)
    draw_help(image, KEYS * 8)
    draw_countdown(image, "12")


@pytest.mark.parametrize("size_wh", [(640, 480), (1920, 1080), (320, 1200), (64, 48), (9, 300), (1, 1)])
def test_everything_fits_on_every_size(size_wh):
    image = np.full((size_wh[1], size_wh[0], 3), 120, np.uint8)
    draw_everything(image)
    assert image.shape == (size_wh[1], size_wh[0], 3) and image.dtype == np.uint8
    if min(size_wh) > 40:
        assert (image != 120).any()


def test_text_grows_with_the_picture():
    small, large = (np.zeros((height, width, 3), np.uint8) for width, height in ((640, 480), (3840, 2160)))
    assert text_height(small) == 18
    assert text_height(large) / 2160 == pytest.approx(text_height(small) / 480, rel=0.05)


def test_known_and_unknown_differ_in_more_than_color():
    known, unknown = (np.full((480, 640, 3), 120, np.uint8) for _ in range(2))
    draw_face(known, (200, 150, 150, 200), "ada", 0.97)
    draw_face(unknown, (200, 150, 150, 200), None, 0.97)
    assert count(known, KNOWN_COLOR) > 1000 and count(known, UNKNOWN_COLOR) == 0
    assert count(unknown, UNKNOWN_COLOR) > 1000 and count(unknown, KNOWN_COLOR) == 0
    middle = (slice(240, 260), slice(195, 206))  # of the box's left side
    assert (known[middle] != 120).any() and (unknown[middle] == 120).all()


def test_a_label_goes_below_if_there_is_no_room_above():
    image = np.full((480, 640, 3), 120, np.uint8)
    draw_face(image, (200, 2, 150, 200), "ada", 0.97)
    assert count(image[210:250], KNOWN_COLOR) > 500


def test_probability_is_never_certain():
    images = [np.full((480, 640, 3), 120, np.uint8) for _ in range(2)]
    for image, score in zip(images, (0.99, 1.0), strict=True):
        draw_face(image, (200, 150, 150, 200), "ada", score)
    assert (images[0] == images[1]).all()


@pytest.mark.parametrize("keys", [live.KEYS, capture.KEYS, while_paused(live.KEYS)])
@pytest.mark.parametrize("size_wh", [(640, 480), (480, 640), (1280, 720), (1920, 1080)])
def test_all_keys_fit_and_do_not_move_with_the_figures(keys, size_wh, monkeypatch):
    def draw(aside):
        drawn = {}
        monkeypatch.setattr(
            drawing, "draw_text", lambda _, text, x, y, size, color: drawn.update({text: (x, y)}) or len(text)
        )
        image = np.full((*size_wh[::-1], 3), 120, np.uint8)
        lines = round(draw_status(image, "", aside, keys, live.WIDEST_RATE) / text_height(image) / 1.5)
        return lines, {text: place for text, place in drawn.items() if text != aside}, drawn[aside]

    lines, places, aside = draw("8 fps  9 ms")
    assert {text for pair in keys for text in pair} <= set(places)
    assert lines == (1 if size_wh[0] >= 1280 else 2 if size_wh[0] == 640 else 3)
    assert draw("60 fps  1234 ms") == (lines, places, aside) == draw("paused")


def test_the_status_drops_the_last_keys_if_there_is_no_room():
    wide, narrow = (np.full((60, width, 3), 120, np.uint8) for width in (640, 100))
    for image in (wide, narrow):
        assert draw_status(image, "ada", keys=[(key, "a meaning") for key in "hqsu"]) <= 60
    assert count(wide, KEY_COLOR) > count(narrow, KEY_COLOR)


def test_a_long_message_has_more_lines():
    image = np.full((480, 640, 3), 120, np.uint8)
    draw_message(image, "a name may not begin with a dot or _, nor end with a dot", warning=True)
    assert (image[70:75] != 120).any() and (image[100:] == 120).all()


def test_message_and_progress():
    plain, warning, half, whole = (np.full((480, 640, 3), 120, np.uint8) for _ in range(4))
    draw_message(plain, "hold still")
    draw_message(warning, "camera lost, retrying", warning=True)
    draw_message(half, "hold still", progress=0.5)
    draw_message(whole, "hold still", progress=1.0)
    assert np.abs(warning.astype(int) - WARNING_COLOR).max(axis=2).min() <= 10
    assert count(whole, KEY_COLOR) == pytest.approx(2 * count(half, KEY_COLOR), rel=0.1)
    assert count(plain, KEY_COLOR) == 0 and (plain[100:] == 120).all()


def test_the_end_of_a_long_entry_is_shown():
    images = [np.full((480, 640, 3), 120, np.uint8) for _ in range(2)]
    for image, last in zip(images, "xW", strict=True):
        draw_entry(image, "name", "a" * 60 + last)
    assert (images[0] != images[1]).any()


def test_mirror():
    image = np.zeros((48, 64, 3), np.uint8)
    image[10:20, 5:15] = 255
    flipped, (box,) = mirror(image, [(5, 10, 10, 10)])
    assert box == (49, 10, 10, 10) and (flipped[10:20, 49:59] == 255).all() and (image[10:20, 5:15] == 255).all()


def test_text_is_cut_at_the_border():
    image = np.zeros((40, 60, 3), np.uint8)
    for left, top in ((-10, -10), (50, 30), (-500, 0), (0, 400)):
        draw_text(image, "ada", left, top, 20, (255, 255, 255))
    assert image.any()
