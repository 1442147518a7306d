"""The scripts as a user runs them: the original recipe's command lines, sources, outputs, and clean ends."""

import importlib
import json
import shlex
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT, assert_one_error_line, run_script

from utils.drawn_people import draw_identity, draw_selfie
from utils.drawn_scenes import webcam_clip
from utils.images import read_image, write_image
from utils.video import VideoOutput, VideoSource, without_password

SCRIPTS = ("network", "extract_features", "compute_mean", "train", "test", "capture", "selfies2face", "demo")

# Exactly as they stand in people's notes, apart from the paths.
COMMAND_LINES = """\
network.py --output path/to/save/model --model model_name --print_model 0
extract_features.py --faces_path path/to/dataset --model_path path/to/model --features path/output/features/directory
compute_mean.py --features_path path/to/features/directory
train.py --features_path path/to/features/directory --output_model directory/similarity/network/ --epochs 15 --normaliza 0
test.py --features path/to/stored/features/directory --model path/to/resnet/custom/model --classification path/to/classification/model --normalize 0
capture.py --output directory/to/save/faces
capture.py --output directory/to/save/faces --video_path path/to/video
selfies2face.py --face_selfies path/to/directory/of/selfies --faces_path directory/to/save/faces
""".splitlines()  # noqa: E501

OTHER_SPELLINGS = """\
network.py -o m --model_name n -p 1
network.py -o m -m n
extract_features.py -p a -m b -f c
compute_mean.py -f a
train.py -f a -o b -e 3 -n 1
train.py -f a -o b --normalize 1
test.py -f a -m b -c d -n 1
test.py -f a -m b -c d --normaliza 1
capture.py -o a -v b
selfies2face.py -s a -p b
selfies2face.py --faces_selfies a --face_path b
""".splitlines()


@pytest.mark.parametrize("line", COMMAND_LINES + OTHER_SPELLINGS)
def test_the_original_recipes_command_lines_are_understood(line):
    script, *words = shlex.split(line)
    parser = importlib.import_module(script.removesuffix(".py")).build_parser()
    args = vars(parser.parse_args(words))
    given = [str(value) for value in args.values()]
    for value in (word for word in words if not word.startswith("-")):
        assert value.rstrip("/") in given, (value, args)


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_needs_no_network_library(name):
    """What makes `--help` slow is importing these; nothing is timed here."""
    heavy = ("tensorflow", "keras", "cv2", "dlib", "onnxruntime", "numpy", "sklearn", "matplotlib")
    code = f"import sys, {name} as s; s.build_parser(); print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr
    result = run_script(f"{name}.py", "--help")
    assert result.returncode == 0
    module = importlib.import_module(name)
    assert module.__doc__.strip().splitlines()[0] in result.stdout
    assert "(default: None)" not in result.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_wrong_arguments_are_one_line(name):
    assert_one_error_line(run_script(f"{name}.py", "--nonsense", "1"), "--help")


def read_events(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def recognize(suite, *words) -> int:
    test_script = importlib.import_module("test")
    line = ["-f", str(suite["features"]), "-m", str(suite["extractor"]), "-c", str(suite["head"]), "--headless"]
    return test_script.main([*line, *map(str, words)])


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """A video of an enrolled person, a stranger and both, and who is where in its frames."""
    path = tmp_path_factory.mktemp("clip") / "webcam.mp4"
    video, truth = VideoOutput(path, 15), []
    for frame, people in webcam_clip({"person 1": draw_identity(101)}, [draw_identity(500)], 3, 90):
        video.write(frame)
        truth.append(people)
    video.close()
    return path, truth


def test_a_video_is_recognised_annotated_and_recorded(suite, clip, tmp_path, capsys):
    path, truth = clip
    annotated, events = tmp_path / "new" / "annotated.mp4", tmp_path / "events.jsonl"
    assert recognize(suite, "--video_path", path, "--output", annotated, "--events", events) == 0
    out = capsys.readouterr().out
    assert "7 people, 35 images" in out and "90 frames" in out and "person 1: " in out

    lines = read_events(events)
    assert [line["frame"] for line in lines] == list(range(90))
    assert [line["time"] for line in lines] == pytest.approx([i / 15 for i in range(90)], abs=0.001)
    present = [any(person["name"] for person in people if person["visible"] == 1) for people in truth]
    named = [[face["name"] for face in line["faces"]].count("person 1") for line in lines]
    assert np.mean([n == 1 for n, here in zip(named, present, strict=True) if here]) > 0.9
    assert sum(present) >= 25 and max(named) == 1
    names = {face["name"] for line in lines for face in line["faces"]}
    assert names == {"person 1", None}
    for face in (face for line in lines for face in line["faces"]):
        x, y, w, h = face["box"]
        assert 0 <= x < x + w <= 640 and 0 <= y < y + h <= 480 and 0 <= face["score"] <= 1

    source = VideoSource(annotated)
    frames = [frame.image for frame in source.frames()]
    source.close()
    assert len(frames) == 90 and frames[0].shape == (480, 640, 3) and source.rate == 15
    index = next(i for i, n in enumerate(named) if n)
    original = next(f.image for i, f in enumerate(VideoSource(path).frames()) if i == index)
    x, y, w, _ = next(face["box"] for face in lines[index]["faces"] if face["name"])
    changed = np.abs(frames[index].astype(int) - original)[max(0, y - 8) : y + 8, x : x + w].mean()
    assert changed > 20  # the label's bar


def test_photos_are_recognised_into_a_folder(suite, tmp_path, capsys):
    photos = tmp_path / "photos"
    rng = np.random.default_rng(8)
    for number in (2, 4):
        write_image(photos / f"shot of {number}.jpg", draw_selfie(draw_identity(100 + number), rng))
    write_image(photos / "nobody.png", np.full((200, 300, 3), 90, np.uint8))
    (photos / "broken.jpg").write_bytes(b"not an image")
    events = tmp_path / "events.jsonl"
    assert recognize(suite, "--image_path", photos, "--output", tmp_path / "out", "--events", events) == 0
    assert "broken.jpg" in capsys.readouterr().err
    found = {line["image"]: [face["name"] for face in line["faces"]] for line in read_events(events)}
    assert found == {"nobody.png": [], "shot of 2.jpg": ["person 2"], "shot of 4.jpg": ["person 4"]}
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["nobody_png.png", "shot of 2_jpg.png", "shot of 4_jpg.png"]
    assert read_image(tmp_path / "out" / "shot of 2_jpg.png").shape == (480, 480, 3)


def test_the_threshold_can_be_raised(suite, clip, tmp_path):
    events = tmp_path / "events.jsonl"
    assert recognize(suite, "--video_path", clip[0], "--events", events, "--threshold", 1) == 0
    assert {face["name"] for line in read_events(events) for face in line["faces"]} == {None}


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--video_path", "missing.mp4"], ["missing.mp4 does not exist"]),
        (["--video_path", "Makefile"], ["Makefile cannot be opened as a video"]),
        (["--image_path", "missing"], ["missing does not exist"]),
        (["--image_path", "Makefile"], ["Makefile"]),
        (["--image_path", "utils"], ["no photos"]),
        (["--camera", "987"], ["camera 987", "--camera"]),
        (["--camera", "http://me:secret@127.0.0.1:9/stream"], ["http://…@127.0.0.1:9/stream"]),
        (["--threshold", "2"], ["between 0 and 1"]),
        (["--video_path", "a.mp4", "--image_path", "b"], ["not allowed with"]),
    ],
)
def test_bad_sources_are_one_line(suite, words, parts):
    line = ["-f", suite["features"], "-m", suite["extractor"], "-c", suite["head"], "--headless", *words]
    result = run_script("test.py", *line)
    assert_one_error_line(result, *parts)
    assert "secret" not in result.stdout + result.stderr


def test_bad_outputs_and_models_are_one_line(suite, clip, tmp_path):
    line = ["test.py", "-f", suite["features"], "-m", suite["extractor"], "-c", suite["head"], "--headless"]
    video = ["--video_path", clip[0]]
    assert_one_error_line(run_script(*line, *video, "--output", tmp_path / "a.xyz"), ".mp4")
    assert_one_error_line(run_script(*line, "--image_path", suite["faces"] / "person 0", "--output", "a.mp4"), "folder")
    line[6] = tmp_path / "no head"
    assert_one_error_line(run_script(*line, *video), "no head")
    line[4] = suite["head"]
    assert_one_error_line(run_script(*line, *video), "no head")


def test_without_a_screen_there_is_one_line(suite, clip):
    import os

    env = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    models = ["-f", suite["features"], "-m", suite["extractor"], "-c", suite["head"]]
    commands = (["test.py", *models, "--video_path", clip[0]], ["capture.py", "-o", "unused", "-v", clip[0]])
    for command in commands:
        assert_one_error_line(run_script(*command, env=env), "--headless", "DISPLAY")
        # A display that is named but not there makes Qt abort; it must not take us with it.
        assert_one_error_line(run_script(*command, env={**env, "DISPLAY": ":654"}), "--headless", "654")


def test_capture_numbers_on_and_overwrites_nothing(clip, tmp_path, capsys):
    import capture

    folder = tmp_path / "Zoë"
    line = ["--output", str(folder), "--video_path", str(clip[0]), "--headless", "--every", "5", "--count", "3"]
    assert capture.main(line) == 0
    assert sorted(p.name for p in folder.iterdir()) == ["Zoë_0.png", "Zoë_1.png", "Zoë_2.png"]
    before = {path: path.read_bytes() for path in folder.iterdir()}
    (folder / "Zoë_0.png").rename(folder / "Zoë_7.png")
    assert capture.main(line) == 0
    assert sorted(p.name for p in folder.iterdir()) == [f"Zoë_{n}.png" for n in (1, 10, 2, 7, 8, 9)]
    assert (folder / "Zoë_7.png").read_bytes() == before[folder / "Zoë_0.png"]
    assert read_image(folder / "Zoë_8.png").shape == (224, 224, 3)
    capsys.readouterr()
    assert capture.main(["--output", str(folder), "--headless"]) == 2
    assert "--every" in capsys.readouterr().err


def test_capture_saves_only_single_faces(tmp_path, capsys):
    import capture

    clip = VideoOutput(tmp_path / "pair.avi", 15)
    photo = draw_selfie(draw_identity(101), np.random.default_rng(1))
    for image in [np.hstack([photo, photo])] * 4 + [np.hstack([photo, np.full_like(photo, 90)])] * 2:
        clip.write(image)
    clip.close()
    line = ["-o", str(tmp_path / "ada"), "-v", str(tmp_path / "pair.avi"), "--headless", "--every", "1"]
    assert capture.main(line) == 0
    assert "2 faces saved" in capsys.readouterr().out


@pytest.fixture
def mjpeg_camera():
    """The URL of a network camera on this machine: ten pictures of a drawn person, then it hangs up."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    photo = draw_selfie(draw_identity(101), np.random.default_rng(1))
    jpeg = cv2.imencode(".jpg", photo[:, :, ::-1])[1].tobytes()

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for _ in range(10):
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg + b"\r\n")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Camera)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://ada:secret@127.0.0.1:{server.server_port}/stream.mjpg"
    server.shutdown()


def test_a_network_camera_is_recognised(suite, mjpeg_camera, tmp_path, capsys):
    events = tmp_path / "events.jsonl"
    assert recognize(suite, "--camera", mjpeg_camera, "--events", events) == 0
    captured = capsys.readouterr()
    assert "gives no more pictures" in captured.err and "secret" not in captured.out + captured.err
    lines = read_events(events)
    assert len(lines) >= 8
    assert all([face["name"] for face in line["faces"]] == ["person 1"] and "clock" in line for line in lines)
    times = [line["time"] for line in lines]
    assert times == sorted(times)


def test_selfies2face_takes_photos_of_one_person(tmp_path, capsys):
    import selfies2face

    rng = np.random.default_rng(9)
    large, other = (draw_selfie(draw_identity(number), rng) for number in (101, 102))
    small = cv2.resize(other, (160, 160), interpolation=cv2.INTER_AREA)
    passer_by = np.full((480, 640, 3), 120, np.uint8)
    passer_by[:, :480] = large
    passer_by[:160, 480:] = small
    folder = tmp_path / "selfies" / "ada b"
    write_image(folder / "one.jpg", large)
    write_image(folder / "one.png", other)
    write_image(folder / "pair.jpg", np.hstack([large, other]))
    write_image(folder / "passer-by.jpg", passer_by)
    write_image(folder / "wall.jpg", np.full((300, 300, 3), 90, np.uint8))
    (folder / "broken.heic").write_bytes(b"broken")
    faces = tmp_path / "faces"
    line = ["--face_selfies", str(tmp_path / "selfies"), "--faces_path", str(faces)]
    assert selfies2face.main(line) == 0
    out = capsys.readouterr().out
    assert "1 people, 6 photos: 3 faces saved" in out
    assert "pair.jpg: 2 faces" in out and "wall.jpg: no face found" in out and "broken.heic: cannot be decoded" in out
    expected = ["one_jpg.png", "one_png.png", "passer-by_jpg.png"]
    assert sorted(path.name for path in (faces / "ada b").iterdir()) == expected
    assert {read_image(path).shape for path in (faces / "ada b").iterdir()} == {(224, 224, 3)}

    assert selfies2face.main(line) == 0
    assert "0 faces saved, 3 unchanged" in capsys.readouterr().out
    assert selfies2face.main([*line, "--largest"]) == 0
    assert "1 faces saved, 3 unchanged" in capsys.readouterr().out


def test_passwords_are_left_out_of_messages():
    assert without_password("rtsp://user:p@ss@host/cam") == "rtsp://…@host/cam"
    assert without_password("/dev/video0") == "/dev/video0"
