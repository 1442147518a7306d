"""The loops of test.py: silent cameras, slow recognizers, and videos of which every frame counts."""

import importlib
import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from threading import Thread

import cv2
import numpy as np
import pytest
from support import DEADLINE, FakeWindow, gray_pictures, wait_until, write_clip

from utils.cli import InputError
from utils.display.viewers import Screen
from utils.live.controls import LiveControls
from utils.live.loops import run_camera, run_video
from utils.live.outputs import Outputs
from utils.live.summaries import Summary
from utils.media.camera import DARK, Camera, LiveSource, PacedVideo
from utils.media.video import Frame, VideoSource
from utils.recognition.recognizer import BackgroundRecognizer, NamedFace, RecognizedFrame
from utils.synthetic.identity import sample_identity
from utils.synthetic.network_camera import MjpegCamera
from utils.synthetic.portrait import draw_selfie


class FakeRecognizer:
    """Sees Ada in every frame. before: called with each frame before it is recognized, to take as long as it wants."""

    def __init__(self, before: Callable[[Frame], object] = lambda _: None):
        self.before, self.frames = before, []

    def find(self, frame: Frame) -> Frame:
        return frame

    def name(self, frame: Frame) -> RecognizedFrame:
        return self.recognize(frame)

    def recognize(self, frame: Frame) -> RecognizedFrame:
        self.before(frame)
        self.frames.append(frame)
        gray = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        return RecognizedFrame(frame, gray, [NamedFace((40, 30, 50, 60), "ada", 0.9, 1)])

    @property
    def indices(self) -> list[int]:
        return [frame.index for frame in self.frames]


def fake_screen(keys=()) -> Screen:
    screen = Screen(LiveControls(None), ExitStack())
    screen.window = FakeWindow(keys)
    return screen


def run(source: LiveSource, recognizer, screen: Screen | None = None, outputs: Outputs | None = None) -> Summary:
    """Run the camera loop until the source ends or the screen quits."""
    summary = Summary()
    with ExitStack() as cleanup:
        outputs = outputs or Outputs(None, None, source, cleanup)
        cleanup.callback(source.close)
        background = BackgroundRecognizer(recognizer, source)
        cleanup.callback(background.close)
        run_camera(source, background, outputs, summary, screen)
    return summary


def assert_a_blank_window_is_quit(url: str, size_wh: tuple[int, int]) -> None:
    """A camera without pictures has a window that says so, until its key ends the run."""
    source = Camera(url, timeout=1.0)
    screen = fake_screen([(lambda: len(screen.window.pictures) >= 3, "q")])
    run(source, FakeRecognizer(), screen)
    assert source.note == "the camera sends no pictures"
    assert screen.frame.index == -1
    for picture in screen.window.pictures:
        assert picture.shape[1::-1] == size_wh
        assert (picture == DARK).all(axis=2).mean() > 0.6 and (picture != DARK).any()


@pytest.mark.fault
@pytest.mark.slow
def test_a_camera_that_connects_but_sends_nothing_is_waited_for(gray_camera, capsys):
    gray_camera.silent = True
    assert_a_blank_window_is_quit(gray_camera.url, (640, 480))
    source = Camera(gray_camera.url, timeout=1.0)
    frames = source.frames()
    Thread(target=lambda: (time.sleep(1), setattr(gray_camera, "silent", False)), daemon=True).start()
    assert next(frames).image.shape == (120, 160, 3) and source.note is None
    source.close()
    gray_camera.silent = True
    source = Camera(gray_camera.url, give_up=0.1, timeout=1.0)
    with pytest.raises(InputError, match=r"no picture within 0\.1 s"):
        list(source.frames())
    source.close()
    # Each of the three is reported once, however often it is tried.
    assert capsys.readouterr().err.count("sends no pictures: trying again") == 3


@pytest.mark.slow
def test_a_blank_window_has_the_size_that_the_camera_declares():
    """The header of uncompressed video says everything, so the camera opens without a picture."""
    header = b"YUV4MPEG2 W320 H240 F30:1 Ip A1:1 C420\n"
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def answer() -> None:
            while True:
                connections.append(server.accept()[0])
                connections[-1].sendall(b"HTTP/1.0 200 OK\r\n\r\n" + header)

        Thread(target=answer, daemon=True).start()
        assert_a_blank_window_is_quit(f"http://127.0.0.1:{server.getsockname()[1]}/film.y4m", (320, 240))


def test_a_blank_window_gives_way_to_pictures_of_another_size():
    """The camera declares 640×480, as one that is not there yet does, and sends pictures of 160×120."""

    class LateCamera(LiveSource):
        note = "the camera sends no pictures"

        def _read_frames(self):
            wait_until(lambda: screen.window.pictures)
            self.note = None
            for index, picture in enumerate(gray_pictures(5)):
                self._publish(Frame(picture, index / 10, index=index, arrived=time.monotonic()))

    screen = fake_screen()
    run(LateCamera(30.0, (640, 480)), FakeRecognizer(), screen)
    assert screen.window.pictures[0].shape == (480, 640, 3) and screen.window.pictures[-1].shape == (120, 160, 3)


@pytest.fixture(scope="module")
def gray_video(tmp_path_factory):
    """Two seconds of pictures that grow lighter."""
    path = tmp_path_factory.mktemp("video") / "gray.mp4"
    write_clip(path, gray_pictures(60), rate=30)
    return path


def test_the_window_does_not_wait_for_a_slow_recognizer(gray_camera):
    """Each of the first two recognitions takes until 20 more pictures are shown."""
    screen = fake_screen([(lambda: len(recognizer.frames) >= 2, "q")])
    shown = screen.window.pictures

    def wait_for_pictures(_: Frame) -> None:
        count = len(recognizer.frames)
        wait_until(lambda: count >= 2 or len(shown) >= 20 * (count + 1))

    recognizer = FakeRecognizer(wait_for_pictures)
    summary = run(Camera(gray_camera.url), recognizer, screen)
    assert len(shown) >= 40 > 2 * len(recognizer.frames)
    assert "ada: " in "\n".join(summary.lines(4.0))


def test_no_frame_of_a_video_is_lost(gray_video, tmp_path):
    source, recognizer, summary = VideoSource(gray_video), FakeRecognizer(), Summary()
    with ExitStack() as cleanup:
        outputs = Outputs(tmp_path / "out.mp4", tmp_path / "events.jsonl", source, cleanup)
        run_video(source, recognizer, outputs, summary, None)
    assert recognizer.indices == list(range(60)) and summary.frames == 60
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(60))
    assert lines[5]["faces"] == [{"box": [40, 30, 50, 60], "name": "ada", "score": 0.9, "track": 1}]
    written = list(VideoSource(tmp_path / "out.mp4").frames())
    assert len(written) == 60
    # In order: the video grows lighter. The codec leaves out a step of three gray levels here and there.
    corners = [frame.image[-10:, :10].mean() for frame in written]
    assert np.all(np.diff(corners) >= 0) and corners[-1] > corners[0] + 150


class RecordingOutputs(Outputs):
    """Outputs that remember the frames they have written."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.frames: list[Frame] = []

    def write_picture(self, frame: Frame, annotated: np.ndarray) -> None:
        self.frames.append(frame)
        super().write_picture(frame, annotated)


@pytest.mark.slow
def test_a_paced_video_skips_frames_and_keeps_its_length(gray_video, tmp_path):
    """Every recognition takes until five more frames have passed."""
    source, before = PacedVideo(gray_video), time.monotonic()
    recognizer = FakeRecognizer(lambda frame: source.newest(frame.index + 5, timeout=DEADLINE))
    with ExitStack() as cleanup:
        outputs = RecordingOutputs(tmp_path / "out.mp4", tmp_path / "events.jsonl", source, cleanup)
        run(source, recognizer, outputs=outputs)
    assert len(recognizer.frames) <= 11 and recognizer.indices == sorted(set(recognizer.indices))
    # No frame comes before its time, and the last one is not skipped.
    assert all(frame.arrived - before >= frame.time for frame in outputs.frames)
    first, last = outputs.frames[0], outputs.frames[-1]
    assert last.index == 59
    written = list(VideoSource(tmp_path / "out.mp4").frames())
    # Skipped frames leave no gap: the ones before them are seen longer.
    assert [frame.time for frame in written] == pytest.approx([f.time - first.time for f in outputs.frames], abs=0.002)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in events] == recognizer.indices[: len(events)] and events


def test_latency_counts_from_the_arrival_of_the_frame(tmp_path):
    class EndedCamera(LiveSource):
        def _read_frames(self): ...

    class FakeBackground:
        ready = True

        def __init__(self, *results: RecognizedFrame):
            self.results = list(results)

        def finished(self) -> list[RecognizedFrame]:
            results, self.results = self.results, []
            return results

    camera = EndedCamera(30.0, (160, 120))
    camera.start()
    wait_until(lambda: camera.ended)
    frame, summary = Frame(gray_pictures(1)[0], 0.0, arrived=5.0), Summary()
    background = FakeBackground(RecognizedFrame(frame, frame.image[..., 0], []))
    with ExitStack() as cleanup:
        outputs = Outputs(None, tmp_path / "events.jsonl", camera, cleanup)
        run_camera(camera, background, outputs, summary, None, clock=lambda: 5.25)
    line = json.loads((tmp_path / "events.jsonl").read_text())
    assert summary.latencies == [0.25] and line["latency"] == 0.25 and "clock" in line


def test_an_error_of_the_recognizer_ends_the_run(gray_camera):
    def fail(_: Frame) -> None:
        raise InputError("the network is gone")

    with pytest.raises(InputError, match="the network is gone"):
        run(Camera(gray_camera.url), FakeRecognizer(fail), fake_screen())


@pytest.mark.fault
@pytest.mark.slow
def test_people_are_recognized_again_after_the_camera_was_lost(suite, tmp_path, capsys):
    """All of test.py, with a camera that is switched off during the run, then on again, then off for good."""
    rng = np.random.default_rng(1)
    camera = MjpegCamera([draw_selfie(sample_identity(101), rng) for _ in range(3)], 15, user="ada:secret")
    camera.start()
    events = tmp_path / "events.jsonl"

    def count() -> int:
        return sum(len(path.read_text().splitlines()) for path in tmp_path.glob("*.jsonl"))

    def use_the_switch() -> None:
        wait_until(lambda: count() >= 8)
        camera.stop()
        time.sleep(0.3)
        before = count()
        camera.start()
        wait_until(lambda: count() >= before + 8)
        camera.stop()

    switch = Thread(target=use_the_switch, daemon=True)
    switch.start()
    line = ["-f", suite["features"], "-m", suite["extractor"], "-c", suite["head"], "--camera", camera.url]
    line += ["--headless", "--give_up", "8", "--events", events, "--output", tmp_path / "out.mp4"]
    assert importlib.import_module("test").main(list(map(str, line))) == 0
    switch.join(timeout=DEADLINE)
    assert not switch.is_alive()
    captured = capsys.readouterr()
    assert captured.err.count("trying again") >= 2 and "given up" in captured.err
    assert "secret" not in captured.out + captured.err
    lines = [json.loads(text) for text in events.read_text().splitlines()]
    names = [[face["name"] for face in line["faces"]] for line in lines]
    assert names.count(["person 1"]) >= 0.8 * len(names)
    times = [line["time"] for line in lines]
    assert times == sorted(times) and "person 1: " in captured.out
