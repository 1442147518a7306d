"""When a Screen draws, how it paces a video, and what it does with keys; on a clock of its own."""

from contextlib import ExitStack

import numpy as np
import pytest
from support import FakeClock, FakeWindow, gray_pictures

from utils.display.viewers import REDRAW_SECONDS, Screen, while_paused
from utils.media.camera import LiveSource
from utils.media.video import Frame

DRAWING_SECONDS = 0.03


class FakeControls:
    """Draws nothing but takes time for it; "q" quits and space pauses."""

    def __init__(self, clock: FakeClock):
        self.clock, self.quit, self.paused, self.pressed = clock, False, False, []

    def press(self, key, faces, picture) -> None:
        self.pressed.append((key, faces))
        self.quit, self.paused = key == "q", self.paused != (key == " ")

    def draw(self, image, faces, latency, note, mirrored) -> np.ndarray:
        self.clock.sleep(DRAWING_SECONDS)
        return image


@pytest.fixture
def screen():
    clock = FakeClock()
    screen = Screen(FakeControls(clock), ExitStack(), clock=clock)
    screen.window = FakeWindow(clock=clock, sleep=clock.sleep)
    return screen


def frames(count: int) -> list[Frame]:
    return [Frame(picture, 0.0, index=index) for index, picture in enumerate(gray_pictures(count))]


def test_a_video_is_shown_at_its_own_speed(screen):
    shown_at = []
    for frame in frames(5):
        screen.show_paced(frame, [], 0.1)
        shown_at.append(screen.shown_at)
    assert np.diff(shown_at)[1:] == pytest.approx([0.1] * 3, abs=0.002)


def test_a_pause_lasts_until_the_same_key_or_quit(screen):
    screen.window.keys = [(0.0, " "), (2.0, " ")]
    first, second = frames(2)
    screen.show_paced(first, ["a face"], 0.1)
    assert screen.clock() >= 2.0 and not screen.controls.paused
    assert 10 <= len(screen.window.pictures) <= 2.1 / REDRAW_SECONDS  # drawn again and again meanwhile
    assert screen.controls.pressed == [(" ", ["a face"])] * 2
    screen.window.keys = [(0.0, " "), (0.0, "q")]
    screen.show_paced(second, [], 0.1)
    assert screen.controls.quit and screen.controls.paused


class SilentCamera(LiveSource):
    note = "the camera sends no pictures"


def test_a_standing_frame_is_redrawn_only_for_a_note_or_a_pause(screen):
    (frame,) = frames(1)
    screen.redraw(LiveSource(30.0, (64, 48)))
    assert screen.window.pictures == []
    camera = SilentCamera(30.0, (64, 48))
    screen.redraw(camera)
    assert screen.frame.index == -1 and screen.picture.shape == (48, 64, 3)  # a blank before the first frame
    screen.show(frame, ["a face"])
    screen.redraw(camera)
    assert len(screen.window.pictures) == 2  # too early
    screen.clock.sleep(REDRAW_SECONDS)
    screen.redraw(camera)
    assert len(screen.window.pictures) == 3 and screen.frame is frame and screen.faces == ["a face"]


def test_keys_are_handled_for_the_given_time_or_until_quit(screen):
    screen.show(frames(1)[0], [])
    screen.window.keys = [(0.0, "h"), (0.0, "s")]
    began = screen.clock()
    screen.handle_keys(0.5)
    assert [key for key, _ in screen.controls.pressed] == ["h", "s"] and screen.clock() - began == pytest.approx(0.5)
    screen.window.keys = [(0.0, "q"), (0.0, "s")]
    screen.handle_keys(0.5)
    assert screen.controls.quit and screen.window.keys == [(0.0, "s")]


def test_while_paused_space_goes_on():
    assert while_paused((("q", "quit"), ("space", "pause"))) == (("q", "quit"), ("space", "go on"))
