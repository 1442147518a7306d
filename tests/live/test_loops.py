"""The live loop: slow recognizers, silent cameras, videos whose frames all count."""

import importlib
import json
import socket
import time
from contextlib import ExitStack
from threading import Thread

import cv2
import numpy as np
import pytest
from support import FakeWindow, gray_pictures, wait_until

from utils.cli import InputError
from utils.display.viewers import Screen
from utils.live.controls import LiveControls
from utils.live.loops import run_camera, run_video
from utils.live.outputs import Outputs, Summary
from utils.media.camera import DARK, Camera, LiveSource, PacedVideo
from utils.media.video import Frame, VideoOutput, VideoSource
from utils.recognition.recognizer import BackgroundRecognizer, NamedFace, RecognizedFrame
from utils.synthetic.identity import sample_identity
from utils.synthetic.network_camera import MjpegCamera
from utils.synthetic.portrait import draw_selfie


def assert_a_blank_window_is_quit(url: str, size_wh: tuple[int, int]) -> None:
    """A window shows nothing but that the camera sends no pictures, until its key ends the run."""
    source = Camera(url, timeout=1.0)
    screen = fake_screen([(3.5, "q")])
    with ExitStack() as cleanup:
        background = BackgroundRecognizer(SlowRecognizer(0.0), source)
        cleanup.callback(source.close)
        cleanup.callback(background.close)
        run_camera(source, background, outputs_of(source, cleanup), Summary(True), screen)
        assert source.note == "the camera sends no pictures"
    assert screen.frame.index == -1 and 3 <= len(screen.window.pictures) <= 40
    for picture in screen.window.pictures:
        assert picture.shape[1::-1] == size_wh
        assert (picture == DARK).all(axis=2).mean() > 0.6 and (picture != DARK).any()


def test_a_camera_that_takes_the_connection_and_sends_nothing_is_waited_for(gray_camera, capsys):
    gray_camera.silent = True
    assert_a_blank_window_is_quit(gray_camera.url, (640, 480))
    source = Camera(gray_camera.url, timeout=1.0)
    frames = source.frames()
    Thread(target=lambda: (time.sleep(1), setattr(gray_camera, "silent", False)), daemon=True).start()
    assert next(frames).image.shape == (120, 160, 3) and source.note is None
    source.close()
    gray_camera.silent = True
    source = Camera(gray_camera.url, give_up=0.1, timeout=1.0)
    assert list(source.frames()) == []
    source.close()
    # Each of the three was said once, however often it was tried.
    err = capsys.readouterr().err
    assert err.count("sends no pictures: trying again") == 3 and err.count("given up") == 1


def test_a_camera_that_opens_and_sends_nothing_shows_its_size():
    """Uncompressed video says in its header all that there is to know, so that it is opened without a picture."""
    header = b"YUV4MPEG2 W320 H240 F30:1 Ip A1:1 C420\n"
    with socket.create_server(("127.0.0.1", 0)) as server:
        answered = []

        def answer() -> None:
            while True:
                answered.append(server.accept()[0])
                answered[-1].sendall(b"HTTP/1.0 200 OK\r\n\r\n" + header)

        Thread(target=answer, daemon=True).start()
        assert_a_blank_window_is_quit(f"http://127.0.0.1:{server.getsockname()[1]}/film.y4m", (320, 240))


def test_the_window_takes_the_size_of_the_pictures_that_follow_a_blank():
    """A camera declared 640×480, as one that is not there yet is, and sends pictures of 160×120."""

    class LateCamera(LiveSource):
        note = "the camera sends no pictures"

        def _read_frames(self):
            wait_until(lambda: screen.window.pictures)
            self.note = None
            for index, picture in enumerate(gray_pictures(5)):
                self._publish(Frame(picture, index / 10, index=index, arrived=time.monotonic()))
                time.sleep(0.1)

    screen, source = fake_screen(), LateCamera(30.0, (640, 480))
    with ExitStack() as cleanup:
        background = BackgroundRecognizer(SlowRecognizer(0.0), source)
        cleanup.callback(background.close)
        run_camera(source, background, outputs_of(source, cleanup), Summary(True), screen)
    assert screen.window.pictures[0].shape == (480, 640, 3) and screen.window.pictures[-1].shape == (120, 160, 3)


@pytest.fixture(scope="module")
def gray_film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "gray.mp4"
    video = VideoOutput(path, 30)
    for picture in gray_pictures(60):
        video.write(picture)
    video.close()
    return path


class SlowRecognizer:
    """Sees one face; takes its time."""

    def __init__(self, seconds: float):
        self.seconds, self.indices = seconds, []

    def find(self, frame):
        return frame

    def name(self, frame) -> RecognizedFrame:
        return self.recognize(frame)

    def recognize(self, frame) -> RecognizedFrame:
        time.sleep(self.seconds)
        self.indices.append(frame.index)
        gray = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        return RecognizedFrame(frame, gray, [NamedFace((40, 30, 50, 60), "ada", 0.9, 1)])


def fake_screen(keys=(), enrollment=None, tmp_path=None) -> Screen:
    screen = Screen(LiveControls(enrollment, tmp_path), ExitStack())
    screen.window = FakeWindow(keys)
    return screen


def outputs_of(source, cleanup, video=None, events=None) -> Outputs:
    return Outputs(video, events, source, cleanup)


def test_a_slow_recognizer_does_not_slow_the_window(gray_camera):
    source = Camera(gray_camera.url)
    summary, screen = Summary(timed=True), fake_screen([(4.0, "q")])
    recognizer = SlowRecognizer(0.7)
    with ExitStack() as cleanup:
        background = BackgroundRecognizer(recognizer, source)
        cleanup.callback(background.close)
        cleanup.callback(source.close)
        summary.begin()
        run_camera(source, background, outputs_of(source, cleanup), summary, screen)
    # 30 a second are filmed, fewer than 2 recognized; a noisy machine may cost some of the 120.
    assert len(recognizer.indices) <= 7
    assert len(screen.window.pictures) >= 60
    assert "ada: " in "\n".join(summary.lines(4.0))


def test_no_frame_of_a_file_is_lost(gray_film, tmp_path):
    source, recognizer, summary = VideoSource(gray_film), SlowRecognizer(0.01), Summary(timed=True)
    with ExitStack() as cleanup:
        outputs = outputs_of(source, cleanup, tmp_path / "out.mp4", tmp_path / "events.jsonl")
        summary.begin()
        run_video(source, recognizer, outputs, summary, None)
    assert recognizer.indices == list(range(60)) and summary.frames == 60
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(60))
    assert lines[5]["faces"] == [{"box": [40, 30, 50, 60], "name": "ada", "score": 0.9, "track": 1}]
    written = list(VideoSource(tmp_path / "out.mp4").frames())
    assert len(written) == 60
    # In order: the film grows brighter from frame to frame.
    corners = [frame.image[-10:, :10].mean() for frame in written]
    assert np.all(np.diff(corners) > 0)


def test_a_film_in_real_time_leaves_frames_out_and_keeps_its_time(gray_film, tmp_path):
    source, recognizer, summary = PacedVideo(gray_film), SlowRecognizer(0.2), Summary(timed=True)
    start = time.monotonic()
    with ExitStack() as cleanup:
        outputs = outputs_of(source, cleanup, tmp_path / "out.mp4", tmp_path / "events.jsonl")
        background = BackgroundRecognizer(recognizer, source)
        cleanup.callback(background.close)
        summary.begin()
        run_camera(source, background, outputs, summary, None)
        source.close()
    assert time.monotonic() - start > 1.9
    assert len(recognizer.indices) <= 11 and recognizer.indices == sorted(set(recognizer.indices))
    frames = list(VideoSource(tmp_path / "out.mp4").frames())
    assert 55 <= len(frames) <= 61  # two seconds of it, whatever was left out
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert all(line["latency"] >= 0.2 and "clock" in line for line in events)


class BrokenRecognizer:
    def recognize(self, frame):
        raise InputError("the network is gone")


def test_an_error_of_the_recognizer_ends_the_run(gray_camera):
    source = Camera(gray_camera.url)
    with ExitStack() as cleanup:
        background = BackgroundRecognizer(BrokenRecognizer(), source)
        cleanup.callback(background.close)
        cleanup.callback(source.close)
        with pytest.raises(InputError, match="the network is gone"):
            run_camera(source, background, outputs_of(source, cleanup), Summary(True), fake_screen([(20, "q")]))


def test_a_network_camera_killed_and_restarted_is_recognized(suite, tmp_path, capsys):
    """The whole of test.py before a camera that is switched off in mid-run, and on again, and off for good."""
    rng = np.random.default_rng(1)
    camera = MjpegCamera([draw_selfie(sample_identity(101), rng) for _ in range(3)], 15, user="ada:secret")
    camera.start()
    events = tmp_path / "events.jsonl"

    def count() -> int:
        return len(events.read_text().splitlines()) if events.exists() else 0

    def use_the_switch() -> None:
        wait_until(lambda: count() >= 8, 60)
        camera.stop()
        time.sleep(0.3)
        before = count()
        camera.start()
        wait_until(lambda: count() >= before + 8, 60)
        camera.stop()

    switch = Thread(target=use_the_switch, daemon=True)
    switch.start()
    line = ["-f", suite["features"], "-m", suite["extractor"], "-c", suite["head"], "--camera", camera.url]
    line += ["--headless", "--give_up", "4", "--events", events, "--output", tmp_path / "out.mp4"]
    assert importlib.import_module("test").main(list(map(str, line))) == 0
    switch.join(timeout=10)
    assert not switch.is_alive()
    captured = capsys.readouterr()
    assert captured.err.count("trying again") >= 2 and "given up" in captured.err
    assert "secret" not in captured.out + captured.err
    lines = [json.loads(text) for text in events.read_text().splitlines()]
    names = [[face["name"] for face in line["faces"]] for line in lines]
    assert names.count(["person 1"]) >= 0.8 * len(names)
    times = [line["time"] for line in lines]
    assert times == sorted(times) and "person 1: " in captured.out
