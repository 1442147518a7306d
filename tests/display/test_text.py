"""Text masks: any script, any width."""

import cv2
import numpy as np
import pytest

from utils.display.text import clean, fit_text, text_mask, text_width, wrap_text

NAMES = ["Zoë Ångström", "Ελένη", "Наталья Ёлкина", "李小龍", "さくら", "김민준", "محمد علي", "שרה", "ada 😀"]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_many_scripts_are_drawn(name):
    mask = text_mask(name, 40)
    assert mask.shape[0] == 60 and (mask > 128).any()
    unknown = text_mask("?" * len(name), 40)
    assert mask.shape != unknown.shape or (mask != unknown).any()
    assert text_mask(name, 40) is mask  # cached: a frame has the same names as the last


def test_arabic_letters_join_and_run_from_right_to_left():
    from PIL import features

    if not features.check("raqm"):
        pytest.skip("this Pillow cannot join letters")
    # Three letters without dots are one stroke; a sign that forbids joining makes them three.
    pieces = [cv2.connectedComponents(np.uint8(text_mask(w, 40) > 128))[0] - 1 for w in ("محم", "م\u200cح\u200cم")]
    assert pieces == [1, 3]
    # The first letter is the rightmost: what follows it is added at the left.
    one, two = text_mask("ש", 40), text_mask("של", 40)
    width = one.shape[1] - 4  # without the rounded edges
    assert (two[:, -width:] > 128).sum() == pytest.approx((one[:, -width:] > 128).sum(), rel=0.15)


def test_clean():
    assert clean("e\u0301mile") == "émile"
    assert clean("a\udc80b\nc") == "a?b c"
    # On a paragraph's end between letters of two directions Pillow's layout fails.
    assert clean("a\u2029z&\u06ce") == "a z&\u06ce" and text_mask("a\u2029z&\u06ce", 20).any()


def test_fit_text():
    assert fit_text("ada", 20, 500) == "ada"
    fitted = fit_text("a very long name that nobody has", 20, 120)
    assert fitted.endswith("…") and fitted[0] == "a" and text_width(fitted, 20) <= 120
    assert fit_text("ada", 20, 1) == "…"


def test_wrap_text():
    assert wrap_text("ada", 20, 500, 3) == ["ada"] and wrap_text("", 20, 500, 3) == [""]
    name = "a name may not begin with a dot or _, nor end with a dot"
    lines = wrap_text(name, 20, 300, 3)
    assert len(lines) == 2 and " ".join(lines) == name
    path = "/somewhere/" + "quite_far_away" * 2 + "/picture.png"
    lines = wrap_text(f"{path} saved", 20, 300, 3)
    assert "".join(lines) == f"{path} saved" and len(lines) == 3
    lines = wrap_text(name * 9, 20, 300, 3)
    assert len(lines) == 3 and lines[-1].endswith("…") and max(text_width(line, 20) for line in lines) <= 300
    assert wrap_text("two words", 20, 0, 3)[-1].endswith("…")
    # Spaces at the end take no line: the text fits, though with them it is too wide.
    assert wrap_text("Ada_000" + " " * 60, 20, 100, 3) == ["Ada_000"]
    assert wrap_text(" " * 60, 20, 100, 3) == [""]
