"""The live loop: cameras that are lost, a recognizer that is slow, files of which no frame is, enrollment."""

import importlib
import json
import socket
import time
from contextlib import ExitStack
from threading import Thread

import cv2
import numpy as np
import pytest
from support import FakeWindow, gray_pictures

from utils.cli import InputError
from utils.display import drawing
from utils.display.viewers import PAUSED_KEYS, Screen, while_paused
from utils.display.window import BACKSPACE, CAPS_LOCK, CLOSED, ENTER, ESCAPE, SHIFT
from utils.faces.alignment import face_chip
from utils.features.extractor import load_extractor
from utils.features.feature_files import load_features, load_person
from utils.heads.head import load_head
from utils.live.controls import KEYS, LiveControls
from utils.live.enrollment import Enrollment, check_name
from utils.live.loops import run_camera, run_video
from utils.live.outputs import Outputs, Summary, UnknownFaces
from utils.media.camera import DARK, Camera, LiveSource, PacedVideo, without_password
from utils.media.images import read_image
from utils.media.video import Frame, VideoOutput, VideoSource
from utils.recognition.gallery import Gallery
from utils.recognition.recognizer import BackgroundRecognizer, NamedFace, RecognizedFrame, load_recognizer
from utils.synthetic.identity import sample_identity
from utils.synthetic.network_camera import MjpegCamera
from utils.synthetic.portrait import draw_selfie
from utils.threads import read_ahead


def wait_until(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_camera_gives_its_newest_frame_without_backlog(gray_camera):
    source = Camera(gray_camera.url)
    source.start()
    first = source.newest(timeout=20)
    time.sleep(1.0)  # somebody thinks for a second
    second = source.newest(first.index)
    assert second.index >= first.index + 5  # what was filmed meanwhile is gone
    assert time.monotonic() - second.arrived < 0.9
    assert source.newest(second.index + 1000) is None
    source.close()
    assert source.ended


def test_a_lost_camera_is_noted_and_opened_again(gray_camera, capsys):
    source = Camera(gray_camera.url.replace("http://", "http://ada:secret@"))
    source.start()
    before = source.newest(timeout=20)
    assert source.note is None
    gray_camera.stop()
    wait_until(lambda: source.note is not None)
    assert "lost" in source.note
    gray_camera.start()
    wait_until(lambda: source.note is None)
    after = source.newest(before.index, timeout=20)
    assert after.index > before.index and after.time > before.time
    source.close()
    captured = capsys.readouterr()
    assert "trying again" in captured.err and "secret" not in captured.err + captured.out


def test_a_camera_may_be_given_up_and_must_be_there_at_first(gray_camera):
    source = Camera(gray_camera.url, give_up=0.1)
    frames = source.frames()
    next(frames)
    gray_camera.stop()
    list(frames)  # ends
    source.close()
    with pytest.raises(InputError, match="cannot be opened"):
        Camera(gray_camera.url)


def assert_a_blank_window_is_quit(url: str, size_wh: tuple[int, int]) -> None:
    """A window shows nothing but that the camera sends no pictures, until its key ends the run."""
    source = Camera(url)
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


def test_a_camera_that_takes_the_connection_and_sends_nothing_is_waited_for(gray_camera, capsys, monkeypatch):
    monkeypatch.setattr("utils.media.camera.TIMEOUT", 1000)
    gray_camera.silent = True
    assert_a_blank_window_is_quit(gray_camera.url, (640, 480))
    source = Camera(gray_camera.url)
    frames = source.frames()
    Thread(target=lambda: (time.sleep(1), setattr(gray_camera, "silent", False)), daemon=True).start()
    assert next(frames).image.shape == (120, 160, 3) and source.note is None
    source.close()
    gray_camera.silent = True
    source = Camera(gray_camera.url, give_up=0.1)
    assert list(source.frames()) == []
    source.close()
    # Each of the three was said once, however often it was tried.
    err = capsys.readouterr().err
    assert err.count("sends no pictures: trying again") == 3 and err.count("given up") == 1


def test_a_camera_that_opens_and_sends_nothing_shows_its_size(monkeypatch):
    """Uncompressed video says in its header all that there is to know, so that it is opened without a picture."""
    monkeypatch.setattr("utils.media.camera.TIMEOUT", 1000)
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

        def _film(self):
            wait_until(lambda: screen.window.pictures)
            self.note = None
            for index, picture in enumerate(gray_pictures(5)):
                self._put(Frame(picture, index / 10, index=index, arrived=time.monotonic()))
                time.sleep(0.1)

    screen, source = fake_screen(), LateCamera(30.0, (640, 480))
    with ExitStack() as cleanup:
        background = BackgroundRecognizer(SlowRecognizer(0.0), source)
        cleanup.callback(background.close)
        run_camera(source, background, outputs_of(source, cleanup), Summary(True), screen)
    assert screen.window.pictures[0].shape == (480, 640, 3) and screen.window.pictures[-1].shape == (120, 160, 3)


def test_addresses_are_told_without_passwords():
    assert without_password("rtsp://user:p@ss@host/cam") == "rtsp://…@host/cam"
    assert without_password("/dev/video0") == "/dev/video0"
    assert without_password("http://bob:s3/cret@host/cam") == "http://…@host/cam"
    assert without_password("bob:secret@host") == "…@host"
    assert without_password("http://host:80/cam?user=bob&pwd=secret") == "http://host:80/cam?…"
    assert without_password("http://host/cam") == "http://host/cam"


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


def test_an_error_of_a_camera_is_raised_where_its_frames_are_taken():
    class Unplugged(LiveSource):
        def _film(self):
            self._put(Frame(gray_pictures(1)[0], 0.0))
            raise InputError("somebody fell over the cable")

    source = Unplugged(30.0, (160, 120))
    frames = source.frames()
    assert next(frames).index == 0
    with pytest.raises(InputError, match="the cable"):
        next(frames)
    wait_until(lambda: source.ended)
    source.close()


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


def test_reading_ahead_keeps_order_errors_and_stops_early():
    assert list(read_ahead(range(100), ahead=3)) == list(range(100))

    def broken():
        yield 1
        raise InputError("damaged")

    items = read_ahead(broken())
    assert next(items) == 1
    with pytest.raises(InputError, match="damaged"):
        next(items)
    endless = read_ahead(iter(int, 1))
    assert next(endless) == 0
    endless.close()


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


# --- keys -------------------------------------------------------------------------------------------------------


class NobodyEnrolled:
    """An enrollment that does nothing yet. asked: what it was asked for."""

    gallery = type("EmptyGallery", (), {"names": []})
    notice, notice_until, progress = "", 0.0, None

    def __init__(self):
        self.asked = []

    def ask(self, task, *_) -> None:
        self.asked.append(task)

    def undo(self) -> None: ...

    def begin(self) -> None: ...


def typed(*keys: str) -> str | None:
    controls = LiveControls(NobodyEnrolled())
    for key in ("e", *keys):
        controls.press(key, [NamedFace((0, 0, 9, 9), None, 0.1, 3)], np.zeros((9, 9, 3), np.uint8))
    return controls.typed


def test_a_name_is_typed():
    assert typed(*"zoë") == "Zoë"
    assert typed(*"ada lovelace-byron") == "Ada Lovelace-Byron"
    assert typed("a", SHIFT, "b", "c") == "ABc"
    assert typed("a", CAPS_LOCK, "b", "c", CAPS_LOCK, "d") == "ABCd"
    assert typed("a", "b", BACKSPACE, BACKSPACE, BACKSPACE, "q", "h") == "Qh"
    assert check_name(typed("z", "o", "\u0308", "e"))[0] == "Zoë"  # a dead key, then its letter
    assert typed("a", ESCAPE) is None


def test_another_name_for_a_face_that_has_one_is_asked_for_twice():
    enrollment = NobodyEnrolled()
    controls = LiveControls(enrollment)

    def press(keys, name) -> str:
        for key in keys:
            controls.press(key, [NamedFace((0, 0, 9, 9), name, 0.9, 3), NamedFace((0, 0, 5, 5), "Eve", 0.9, 4)], None)
        return drawn(controls, None).get("message", "")

    question = "this is Ada: Enter again to call this face Bea"
    assert press(["e", *"bea", ENTER], "Ada") == question and controls.typed == "Bea" and not enrollment.asked
    assert press([BACKSPACE], "Ada") == "" and press(["a", ENTER], "Ada") == question and not enrollment.asked
    # Where the face was taken for somebody else meanwhile, that is another question.
    assert press([ENTER], "Bob") == question.replace("Ada", "Bob") and not enrollment.asked
    assert press([ENTER], "Bob") == "" and controls.typed is None and enrollment.asked == [enrollment.begin]
    for name, typed_name in (("Ada", "ada"), (None, "bea")):  # more of a known face, and an unknown one
        enrollment.asked.clear()
        press(["e", *typed_name, ENTER], name)
        assert controls.typed is None and enrollment.asked == [enrollment.begin]
    # Who is named while the name is typed has that name, also where the face is gone at Enter.
    enrollment.asked.clear()
    press(["e", "b"], None)
    press(["c"], "Ada")
    controls.press(ENTER, [], None)
    assert "this is Ada" in drawn(controls, None)["message"] and not enrollment.asked


def test_a_snapshot_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    controls = LiveControls(None, tmp_path / "file")
    controls.press("s", [], np.zeros((9, 9, 3), np.uint8))
    assert drawn(controls, None)["message"].startswith("the snapshot is not saved: ")


@pytest.mark.parametrize(
    ("text", "name"),
    [("  Ada   B ", "Ada B"), ("Zoe\u0308", "Zoë"), ("ADA", "ada"), ("J. R. R. Tolkien", "J. R. R. Tolkien")],
)
def test_names_are_folder_names(text, name):
    assert check_name(text, ["ada"]) == (name, None)


@pytest.mark.parametrize(
    "text", ["", "  ", "a/b", "a\\b", "..", ".hidden", "_strangers", "a\x00b", "a:b", "x" * 81, "a."]
)
def test_names_that_are_no_folder_are_refused(text):
    assert check_name(text, ["ada"])[1]


def test_keys_pause_hide_save_and_quit(tmp_path):
    controls, picture = LiveControls(None, tmp_path), np.full((120, 160, 3), 77, np.uint8)
    faces = [NamedFace((10, 10, 40, 40), "ada", 0.9, 1)]
    for key in (" ", "h", "s", "e", "n", "u"):
        controls.press(key, faces, picture)
    assert controls.paused and not controls.help and not controls.quit and controls.typed is None
    assert "--faces_path" in controls.message
    (snapshot,) = tmp_path.iterdir()
    np.testing.assert_array_equal(read_image(snapshot), picture)
    for key in ("q", ESCAPE, CLOSED):
        controls = LiveControls(None, tmp_path)
        controls.press(key, faces, picture)
        assert controls.quit


LOST = "camera lost, trying again"


def drawn(controls: LiveControls, note: str | None) -> dict[str, str]:
    """What a desk without faces writes on a picture, given the camera's note."""
    texts = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "draw_message", lambda _, text, **options: texts.update(message=text))
        patch.setattr(drawing, "draw_entry", lambda _, prompt, text, hint: texts.update(entry=text))
        patch.setattr(drawing, "draw_status", lambda _, text, aside, keys, widest: texts.update(aside=aside, keys=keys))
        controls.draw(np.full((480, 640, 3), 128, np.uint8), [], None, note, False)
    return texts


def test_a_name_is_typed_in_sight_whatever_the_camera_says():
    controls = LiveControls(NobodyEnrolled())
    for key in "eq":
        controls.press(key, [NamedFace((0, 0, 9, 9), None, 0.1, 3)], None)
    assert drawn(controls, None)["entry"] == "Q" and "message" not in drawn(controls, None)
    assert drawn(controls, LOST)["entry"] == "Q" and drawn(controls, LOST)["message"] == LOST
    for key in (BACKSPACE, ENTER):
        controls.press(key, [], None)
    assert drawn(controls, LOST)["message"] == "a name is needed"


def test_keys_are_answered_under_a_note(tmp_path):
    enrollment, faces = NobodyEnrolled(), [NamedFace((0, 0, 9, 9), "ada", 0.9, 3)]
    controls = LiveControls(enrollment, tmp_path)
    assert drawn(controls, LOST)["message"] == LOST
    for key in "en":  # whose face it was is not there any more
        controls.press(key, faces, None)
        assert controls.typed is None and enrollment.asked == []
        assert "no picture" in drawn(controls, LOST)["message"]
    controls.press("u", faces, None)
    assert enrollment.asked == [enrollment.undo] and "undone as soon as" in drawn(controls, LOST)["message"]
    controls.press("s", faces, np.zeros((9, 9, 3), np.uint8))
    assert drawn(controls, LOST)["message"].endswith(".png saved")
    controls.message_until = 0.0
    assert drawn(controls, LOST)["message"] == LOST
    # What an enrollment has done is told too, what it asks for is in vain now.
    enrollment.notice, enrollment.notice_until = "undone: Zoë", time.monotonic() + 60
    assert drawn(controls, LOST)["message"] == "undone: Zoë"
    enrollment.progress = 0.4
    assert drawn(controls, LOST)["message"] == LOST and drawn(controls, None)["message"] == "undone: Zoë"
    controls.press("e", faces, None)
    assert controls.typed == ""  # there are pictures again


def test_a_rate_is_shown_of_pictures_that_follow_one_another():
    controls = LiveControls(None)
    for note, shown in ((None, True), (LOST, False)):
        drawn(controls, note)
        assert drawn(controls, note)["aside"].endswith("fps") is shown
    controls.press(" ", [], None)
    assert drawn(controls, None) == {"aside": "paused", "keys": while_paused(KEYS)}
    controls.press("h", [], None)
    assert drawn(controls, None)["keys"] == PAUSED_KEYS
    controls.press(" ", [], None)
    assert drawn(controls, None)["keys"] == ()


def test_everything_is_drawn_at_any_size_and_mirrored():
    faces = [NamedFace((10, 10, 40, 40), "Zoë", 0.9, 1), NamedFace((5, 60, 20, 20), None, 0.3, 2)]
    for shape in ((90, 120, 3), (480, 640, 3), (2160, 3840, 3)):
        image = np.full(shape, 128, np.uint8)
        plain = LiveControls(None).draw(image, faces, 0.04, None, mirrored=False)
        mirrored = LiveControls(None).draw(image, faces, None, "camera lost, trying again", mirrored=True)
        assert plain.shape == mirrored.shape == shape and not np.array_equal(plain, mirrored)
        assert (image == 128).all()


# --- enrollment --------------------------------------------------------------------------------------------------


@pytest.fixture
def desk_of(suite, tmp_path):
    """A recognizer of the drawn people with folders of its own, and the enrollment that writes to them."""
    import shutil

    faces, features = tmp_path / "faces", tmp_path / "features"
    shutil.copytree(suite["faces"], faces)
    shutil.copytree(suite["features"], features)
    stored, head = load_features(features), load_head(suite["head"])
    gallery = Gallery(stored, head, head.threshold, head.min_votes)
    recognizer = load_recognizer(gallery, load_extractor(suite["extractor"]), "retinaface", 20, True, 640)
    return recognizer, Enrollment(recognizer, faces, features), faces, features


def view(identity: int, count: int):
    """Frames of one drawn person who moves from one to the next."""
    rng = np.random.default_rng(identity)
    return [draw_selfie(sample_identity(identity), rng) for _ in range(count)]


def show(recognizer, pictures, start=0.0, step=0.3) -> list[list[NamedFace]]:
    return [
        recognizer.recognize(Frame(picture, start + step * number, index=number)).faces
        for number, picture in enumerate(pictures)
    ]


def extract_again(suite, faces, features, capsys) -> str:
    import extract_features

    line = ["--faces_path", str(faces), "--model_path", str(suite["extractor"]), "--features", str(features)]
    capsys.readouterr()
    assert extract_features.main(line) == 0
    return capsys.readouterr().out


def load_models(suite, features, *words):
    """The gallery and the extractor, as test.py loads them with these words on its command line."""
    test = importlib.import_module("test")
    words = ["-f", features, "-m", suite["extractor"], "-c", suite["head"], *words]
    return test.load_models(test.build_parser().parse_args(list(map(str, words))))


def contents(folder) -> dict:
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def enroll(recognizer, enrollment, name, pictures, monkeypatch) -> None:
    """Enroll whoever is in the pictures; the gate is another module's matter, and so is time."""
    monkeypatch.setattr("utils.live.enrollment.rejection_reason", lambda *_: None)
    monkeypatch.setattr("utils.live.enrollment.MIN_INTERVAL", 0.0)
    faces = show(recognizer, pictures[:1])[0]
    enrollment.ask(enrollment.begin, name, faces[0].track_id)
    show(recognizer, pictures, start=0.1)


def test_enrolled_is_recognized_at_once_and_stored_as_the_scripts_would(suite, desk_of, monkeypatch, capsys):
    recognizer, enrollment, faces, features = desk_of
    pictures = view(500, 6)
    assert {face.name for seen in show(recognizer, pictures) for face in seen} == {None}
    recognizer.tracks.cut()
    enroll(recognizer, enrollment, "Zoë", pictures, monkeypatch)
    assert enrollment.notice == "Zoë is enrolled with 5 faces"
    assert sorted(path.name for path in (faces / "Zoë").iterdir()) == [f"Zoë_{n}.png" for n in range(5)]
    assert read_image(faces / "Zoë" / "Zoë_0.png").shape == (224, 224, 3)
    recognizer.tracks.cut()
    again = show(recognizer, view(500, 4), start=10)
    assert [[face.name for face in seen] for seen in again][1:] == [["Zoë"]] * 3

    out = extract_again(suite, faces, features, capsys)
    assert "8 people, 40 images: 0 embedded, 40 unchanged" in out
    matrix = load_person(features, "Zoë").matrix
    np.testing.assert_allclose(
        matrix[2], recognizer.extractor.embed([read_image(faces / "Zoë" / "Zoë_2.png")])[0], atol=1e-5
    )
    np.testing.assert_array_equal(matrix, recognizer.gallery.matrix[-5:])


def test_somebody_else_in_the_same_place_is_not_taken_for_who_was_there(desk_of):
    """As when two people cross: the boxes overlap from picture to picture, the faces are not the same."""
    recognizer, *_ = desk_of
    first, second = view(101, 1)[0], view(102, 1)[0]
    pictures = [first] * 8 + [second] * 8
    seen = show(recognizer, pictures, step=0.05)
    assert [[face.name for face in faces] for faces in seen[2:8]] == [["person 1"]] * 6
    after = [face.name for faces in seen[8:] for face in faces]
    assert "person 1" not in after and after[-6:] == ["person 2"] * 6


def test_the_first_person_is_enrolled_in_a_window(suite, tmp_path, monkeypatch):
    """Nobody has to be enrolled beforehand: neither features nor faces have a folder."""
    faces, features = tmp_path / "faces", tmp_path / "features"
    gallery, extractor = load_models(suite, features, "--faces_path", faces)
    assert gallery.names == []
    recognizer = load_recognizer(gallery, extractor, "retinaface", 20, True, 640)
    recognizer.warm_up()
    enrollment, pictures = Enrollment(recognizer, faces, features), view(500, 6)
    assert {(face.name, face.score) for seen in show(recognizer, pictures) for face in seen} == {(None, 0.0)}
    recognizer.tracks.cut()
    enroll(recognizer, enrollment, "Zoë", pictures, monkeypatch)
    recognizer.tracks.cut()
    again = show(recognizer, view(500, 4), start=10)
    assert [[face.name for face in seen] for seen in again][1:] == [["Zoë"]] * 3
    assert load_person(features, "Zoë").matrix.shape == (5, 128)
    # Without a window nobody can be enrolled, and somebody has to be there.
    with pytest.raises(InputError, match="nobody is not a folder"):
        load_models(suite, tmp_path / "nobody", "--faces_path", faces, "--headless")


def test_undo_leaves_nothing_of_an_enrollment(desk_of, monkeypatch):
    recognizer, enrollment, faces, features = desk_of
    before, people = (contents(faces), contents(features)), list(recognizer.gallery.names)
    matrix = recognizer.gallery.matrix.copy()
    for name in ("Zoë", "person 3"):  # somebody new, and more pictures of somebody known
        enroll(recognizer, enrollment, name, view(500, 6), monkeypatch)
        assert len(recognizer.gallery.matrix) == len(matrix) + 5 and contents(faces) != before[0]
        enrollment.ask(enrollment.undo)
        show(recognizer, view(500, 1), start=3)
        assert (contents(faces), contents(features)) == before
        assert recognizer.gallery.names == people and not (features / "Zoë").exists()
        np.testing.assert_array_equal(recognizer.gallery.matrix, matrix)
        recognizer.tracks.cut()
    enrollment.undo()
    assert enrollment.notice == "nothing to undo"


def test_the_threshold_rises_with_an_enrollment_and_undo_takes_it_back(suite, desk_of, monkeypatch, capsys):
    """As test.py loads the gallery, without and with --threshold."""
    recognizer, enrollment, *_ = desk_of
    monkeypatch.setattr("utils.heads.head.Head.threshold_for", lambda _, people: 0.5 + people / 100)
    for given in (None, 0.5):
        gallery, _ = load_models(suite, suite["features"], *([] if given is None else ["--threshold", given]))
        recognizer.gallery = enrollment.gallery = gallery
        before = gallery.threshold
        assert before == pytest.approx(0.57 if given is None else given)
        enroll(recognizer, enrollment, "Zoë", view(500, 6), monkeypatch)
        assert gallery.threshold == pytest.approx(0.58 if given is None else given)
        enrollment.ask(enrollment.undo)
        show(recognizer, view(500, 1), start=3)
        assert gallery.threshold == before
        recognizer.tracks.cut()


def test_a_wrong_name_goes_to_the_strangers_and_comes_back_with_undo(desk_of):
    recognizer, enrollment, faces, features = desk_of
    pictures = view(101, 4)
    (face,) = show(recognizer, pictures)[-1]
    assert face.name == "person 1"
    enrollment.ask(enrollment.reject, face.track_id)
    assert [each.name for each in show(recognizer, pictures[-1:], start=2)[0]] == [None]
    (kept,) = (faces / "_strangers").iterdir()
    assert kept.name == "_strangers_0.png" and len(load_person(features, "_strangers").matrix) == 1
    chip = face_chip(recognizer.image, recognizer.visible[0].face)
    np.testing.assert_array_equal(read_image(kept), chip)
    enrollment.ask(enrollment.undo)
    show(recognizer, pictures[-1:], start=2.1)
    assert [each.name for each in show(recognizer, pictures[-1:], start=2.2)[0]] == ["person 1"]
    assert not (faces / "_strangers").exists() and not (features / "_strangers").exists()


def test_a_bad_picture_is_not_enrolled_and_the_reason_is_told(desk_of, monkeypatch):
    recognizer, enrollment, faces, _ = desk_of
    monkeypatch.setattr("utils.live.enrollment.MAX_SECONDS", 0.0)
    (face,) = show(recognizer, view(500, 1))[0]
    dark = [(picture * 0.25).astype(np.uint8) for picture in view(500, 1)]
    enrollment.ask(enrollment.begin, "Zoë", face.track_id)
    show(recognizer, dark, start=0.1)
    assert enrollment.notice == "Zoë is not enrolled: too dark" and not (faces / "Zoë").exists()


def state_of(recognizer, enrollment, faces, features):
    gallery = recognizer.gallery
    return contents(faces), contents(features), list(gallery.names), gallery.matrix.tolist(), list(enrollment.changes)


DENIED = "/a/folder"


def raise_denied(*_) -> None:
    raise PermissionError(13, "Permission denied", f"{DENIED}/.unfinished-1.png")


@pytest.mark.parametrize("name", ["Zoë", "person 3"])
@pytest.mark.parametrize(
    "broken",
    ["live.enrolled_files.make_folder", "features.feature_files.write_bytes", "features.feature_files.write_json"],
)
def test_a_folder_that_cannot_be_written_is_said_and_leaves_nothing_half_done(desk_of, monkeypatch, name, broken):
    recognizer, enrollment, *_ = desk_of
    before = state_of(*desk_of)
    with monkeypatch.context() as patch:
        patch.setattr(f"utils.{broken}", raise_denied)
        enroll(recognizer, enrollment, name, view(500, 6), monkeypatch)
        assert enrollment.notice == f"{name} is not enrolled: Permission denied: {DENIED}"
        assert state_of(*desk_of) == before and enrollment.progress is None
        recognizer.tracks.cut()
        (face,) = show(recognizer, view(101, 4), start=5)[-1]
        enrollment.ask(enrollment.reject, face.track_id)
        assert [face.name for face in show(recognizer, view(101, 4)[-1:], start=6.2)[0]] == ["person 1"]
        assert enrollment.notice == f"the name stays: Permission denied: {DENIED}" and state_of(*desk_of) == before
    recognizer.tracks.cut()
    enroll(recognizer, enrollment, name, view(500, 6), monkeypatch)  # it can be written again
    assert enrollment.notice == f"{name} is enrolled with 5 faces"


def test_what_was_saved_before_a_disk_is_full_can_be_undone_when_it_is_not(desk_of, monkeypatch):
    import utils.features.feature_files as features_module

    recognizer, enrollment, faces, features = desk_of
    before = state_of(*desk_of)
    with monkeypatch.context() as patch:
        left = [features_module.write_bytes] * 2
        patch.setattr(features_module, "write_bytes", lambda *what: left.pop()(*what) if left else raise_denied())
        enroll(recognizer, enrollment, "person 3", view(500, 6), monkeypatch)
        assert enrollment.notice.startswith("person 3 is enrolled with only 2 faces: Permission denied")
        assert len(recognizer.gallery.matrix) == 37 and len(list((faces / "person 3").iterdir())) == 7
        assert len(load_person(features, "person 3").manifest.images) == 7
        enrollment.ask(enrollment.undo)
        show(recognizer, view(500, 1), start=3)
        assert enrollment.notice.startswith("not undone: Permission denied") and len(enrollment.changes) == 1
    enrollment.ask(enrollment.undo)
    show(recognizer, view(500, 1), start=4)
    assert enrollment.notice == "undone: person 3" and state_of(*desk_of) == before


def test_features_of_unknown_origin_are_left_alone(desk_of, monkeypatch):
    recognizer, enrollment, _, features = desk_of
    (features / "person 3" / "person 3_features.json").unlink()
    before = contents(features)
    enroll(recognizer, enrollment, "person 3", view(500, 6), monkeypatch)
    assert contents(features) == before and len(recognizer.gallery.matrix) == 40


def test_the_best_picture_of_a_stranger_is_kept(desk_of, tmp_path):
    recognizer, *_ = desk_of
    unknown = UnknownFaces(tmp_path / "unknown")
    recognizer.listeners.append(unknown)
    show(recognizer, view(500, 4))
    recognizer.tracks.cut()
    show(recognizer, view(101, 4), start=5)  # known: not kept
    assert unknown.save() == 1
    (path,) = (tmp_path / "unknown").iterdir()
    assert read_image(path).shape == (224, 224, 3)
