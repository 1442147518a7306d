"""The scripts as users run them: command lines of the original recipe, sources, outputs, errors and interrupts."""

import importlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import DEADLINE, ROOT, STARTED, assert_one_error_line, run_script, wait_until, write_clip

from utils.faces.alignment import CHIP_SIZE
from utils.features.packed import pack
from utils.files import UNFINISHED
from utils.media.images import read_image, write_image
from utils.media.video import VideoSource
from utils.recognition import large_gallery
from utils.synthetic.identity import sample_identity
from utils.synthetic.portrait import draw_selfie
from utils.synthetic.scenes import webcam_clip

SCRIPTS = ("network", "extract_features", "compute_mean", "train", "test", "capture", "selfies2face", "evaluate")
SCRIPTS += ("verify", "find", "demo", "export", "pack")

# As the original recipe's users typed them, except for the paths, with the meaning of each.
COMMAND_LINES = [
    (
        "network.py --output path/to/model --model model_name --print_model 0",
        {"output": "path/to/model", "model_name": "model_name", "print_model": 0},
    ),
    (
        "extract_features.py --faces_path to/dataset --model_path to/model --features to/features",
        {"faces_path": "to/dataset", "model_path": "to/model", "features": "to/features"},
    ),
    ("compute_mean.py --features_path to/features", {"features_path": "to/features"}),
    (
        "train.py --features_path to/features --output_model similarity/network/ --epochs 15 --normaliza 0",
        {"features_path": "to/features", "output_model": "similarity/network", "epochs": 15, "normalize": 0},
    ),
    (
        "test.py --features to/features --model to/custom/model --classification to/classification --normalize 0",
        {"features": "to/features", "model": "to/custom/model", "classification": "to/classification", "normalize": 0},
    ),
    ("capture.py --output to/faces", {"output": "to/faces", "video_path": None}),
    ("capture.py --output to/faces --video_path to/video", {"output": "to/faces", "video_path": "to/video"}),
    (
        "selfies2face.py --face_selfies to/selfies --faces_path to/faces",
        {"faces_selfies": "to/selfies", "faces_path": "to/faces"},
    ),
    # Other spellings and short forms.
    ("network.py -o o --model_name n -p 1", {"output": "o", "model_name": "n", "print_model": 1}),
    ("network.py -o o -m n -p 0", {"output": "o", "model_name": "n", "print_model": 0}),
    ("extract_features.py -p p -m m -f f", {"faces_path": "p", "model_path": "m", "features": "f"}),
    ("compute_mean.py -f f", {"features_path": "f"}),
    ("train.py -f f -o o -e 3 -n 1", {"features_path": "f", "output_model": "o", "epochs": 3, "normalize": 1}),
    ("train.py -f f -o o --normalize 1", {"normalize": 1}),
    ("test.py -f f -m m -c c -n 1", {"features": "f", "model": "m", "classification": "c", "normalize": 1}),
    ("test.py -f f -m m -c c --normaliza 1", {"normalize": 1}),
    ("capture.py -o o -v v", {"output": "o", "video_path": "v"}),
    ("selfies2face.py -s s -p p", {"faces_selfies": "s", "faces_path": "p"}),
    ("selfies2face.py --faces_selfies s --face_path p", {"faces_selfies": "s", "faces_path": "p"}),
]


@pytest.mark.parametrize(("line", "meaning"), COMMAND_LINES)
def test_command_lines_of_the_original_recipe_work(line, meaning):
    script, *words = shlex.split(line)
    parser = importlib.import_module(script.removesuffix(".py")).build_parser()
    args = vars(parser.parse_args(words))
    values = {key: str(args[key]) if isinstance(args[key], Path) else args[key] for key in meaning}
    assert values == meaning


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_imports_nothing_heavy(name):
    """Importing these is what makes `--help` slow, so no time is measured."""
    heavy = ("tensorflow", "keras", "cv2", "dlib", "onnxruntime", "numpy", "sklearn", "matplotlib")
    code = f"import sys, {name} as s; s.build_parser(); print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr
    result = run_script(f"{name}.py", "--help")
    assert result.returncode == 0
    module = importlib.import_module(name)
    assert module.__doc__.strip().splitlines()[0] in result.stdout
    assert "(default: None)" not in result.stdout


def models(suite) -> list:
    """The flags with which test.py loads the models."""
    return ["-f", suite["features"], "-m", suite["extractor"], "-c", suite["head"]]


def read_events(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def recognize(suite, *words) -> int:
    """Run test.py without a window, in this process."""
    return importlib.import_module("test").main([str(word) for word in (*models(suite), "--headless", *words)])


def start_test(suite, *words, before: tuple[str, ...] = (), env: dict | None = None) -> subprocess.Popen:
    """Start test.py without a window. before: a command that starts it."""
    command = [*before, sys.executable, "test.py", *map(str, models(suite)), "--headless", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    STARTED.append(process)
    return process


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_a_run_as_ctrl_c_does(suite, clip, tmp_path, number):
    """systemd and `timeout` send SIGTERM, a closed terminal SIGHUP. Until the end older files are untouched."""
    out, events = tmp_path / "annotated.mp4", tmp_path / "events.jsonl"
    out.write_bytes(b"of an earlier run")
    process = start_test(suite, "--video_path", clip[0], "--output", out, "--events", events)
    wait_until(lambda: any(len(read_events(path)) >= 5 for path in tmp_path.glob(f"{UNFINISHED}*.jsonl")))
    assert out.read_bytes() == b"of an earlier run" and not events.exists()
    process.send_signal(number)
    printed, error = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130 and error == "interrupted\n" and " frames at " in printed
    source = VideoSource(out)
    assert abs(len(list(source.frames())) - len(read_events(events))) <= 1
    source.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotated.mp4", "events.jsonl"]


@pytest.mark.kill
@pytest.mark.slow
def test_a_run_under_nohup_goes_on(suite, clip, tmp_path):
    out, events = tmp_path / "annotated.mp4", tmp_path / "events.jsonl"
    words = ["--video_path", clip[0], "--output", out, "--events", events]
    process = start_test(suite, *words, before=("nohup",))
    wait_until(lambda: any(path.stat().st_size for path in tmp_path.glob(f"{UNFINISHED}*.jsonl")))
    process.send_signal(signal.SIGHUP)
    printed, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0 and "90 frames at " in printed and len(read_events(events)) == 90
    source = VideoSource(out)
    assert len(list(source.frames())) == 90
    source.close()
    assert out.stat().st_mode & 0o777 == events.stat().st_mode & 0o777 == 0o600  # they show people


@pytest.mark.slow
def test_events_on_standard_output_in_the_c_locale(suite, clip, tmp_path):
    """What comes out is JSON and nothing else, with names as they are on disk."""
    faces, features = tmp_path / "faces", tmp_path / "features"
    shutil.copytree(suite["faces"] / "person 1", faces / "Zoë 写真")
    line = ["-p", str(faces), "-m", str(suite["extractor"]), "-f", str(features)]
    assert importlib.import_module("extract_features").main(line) == 0
    # Without the coercion, Python reads every byte of a file name by itself.
    env = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    video = tmp_path / "fête.mp4"
    shutil.copy(clip[0], video)
    extractor = tmp_path / "modèle.keras"
    shutil.copy(suite["extractor"], extractor)
    named = {"features": features, "extractor": extractor, "head": suite["head"]}
    process = start_test(named, "--video_path", video, "--events", "-", "--output", tmp_path / "été.mp4", env=env)
    printed, error = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, error
    lines = [json.loads(line) for line in printed.splitlines()]
    assert printed.isascii() and [line["frame"] for line in lines] == list(range(90))
    assert {face["name"] for line in lines for face in line["faces"]} == {"Zoë 写真", None}
    assert (
        (tmp_path / "été.mp4").is_file()
        and "1 person, 5 images" in error
        and "90 frames at " in error
        and "Traceback" not in error
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_wrong_arguments_are_one_line(name):
    assert_one_error_line(run_script(f"{name}.py", "--nonsense", "1"), "--help")


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """A video of an enrolled person, a stranger and both, and the people in each frame."""
    path = tmp_path_factory.mktemp("clip") / "webcam.mp4"
    frames = list(webcam_clip({"person 1": sample_identity(101)}, [sample_identity(500)], 3, 90))
    write_clip(path, [image for image, _ in frames])
    return path, [people for _, people in frames]


@pytest.mark.slow
def test_a_video_is_recognized_annotated_and_recorded(suite, clip, tmp_path, capsys):
    path, people_in_frames = clip
    annotated, events = tmp_path / "new" / "annotated.mp4", tmp_path / "events.jsonl"
    assert recognize(suite, "--video_path", path, "--output", annotated, "--events", events) == 0
    out = capsys.readouterr().out
    assert "7 people, 35 images" in out and "90 frames" in out and "person 1: " in out

    lines = read_events(events)
    assert [line["frame"] for line in lines] == list(range(90))
    assert [line["time"] for line in lines] == pytest.approx([i / 15 for i in range(90)], abs=0.001)
    present = [any(person["name"] for person in people if person["visible"] == 1) for people in people_in_frames]
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


@pytest.mark.slow
def test_photos_are_recognized_into_a_folder(suite, tmp_path, capsys):
    photos = tmp_path / "photos"
    rng = np.random.default_rng(8)
    for person in (2, 4):
        write_image(photos / f"shot of {person}.jpg", draw_selfie(sample_identity(100 + person), rng))
    write_image(photos / "nobody.png", np.full((200, 300, 3), 90, np.uint8))
    (photos / "broken.jpg").write_bytes(b"not an image")
    events = tmp_path / "events.jsonl"
    assert recognize(suite, "--image_path", photos, "--output", tmp_path / "out", "--events", events) == 0
    assert "broken.jpg" in capsys.readouterr().err
    assert [line["frame"] for line in read_events(events)] == [0, 1, 2]
    names = {line["image"]: [face["name"] for face in line["faces"]] for line in read_events(events)}
    assert names == {"nobody.png": [], "shot of 2.jpg": ["person 2"], "shot of 4.jpg": ["person 4"]}
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["nobody_png.png", "shot of 2_jpg.png", "shot of 4_jpg.png"]
    assert read_image(tmp_path / "out" / "shot of 2_jpg.png").shape == (480, 480, 3)


@pytest.mark.slow
def test_the_threshold_can_be_raised(suite, clip, tmp_path):
    events = tmp_path / "events.jsonl"
    assert recognize(suite, "--video_path", clip[0], "--events", events, "--threshold", 1) == 0
    assert {face["name"] for line in read_events(events) for face in line["faces"]} == {None}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--video_path", "missing.mp4"], ["missing.mp4 does not exist"]),
        (["--video_path", "Makefile"], ["Makefile cannot be opened as a video"]),
        (["--image_path", "missing"], ["missing does not exist"]),
        (["--image_path", "Makefile"], ["Makefile"]),
        (["--image_path", "utils"], ["no photos"]),
        (["--camera", "987"], ["camera 987", "--camera"]),
        (["--camera", "99999999999"], ["camera", "--camera"]),
        (["--camera", "http://me:secret@127.0.0.1:9/stream"], ["http://…@127.0.0.1:9/stream"]),
        (["--camera", "http://127.0.0.1:9/stream?key=secret"], ["127.0.0.1:9/stream?…", "name and password"]),
        (["--camera", "nonsense"], ["index", "URL", "nonsense"]),
        (["--camera", "me:secret@127.0.0.1"], ["index", "URL", "…@127.0.0.1"]),
        (["--video_path", "http://me:secret@127.0.0.1/a.mp4"], ["--video_path takes a file", "--camera"]),
        (["--image_path", "selfies", "--unknown_dir", "unknown"], ["--unknown_dir"]),
        (["--image_path", "selfies", "--json", "--events", "-"], ["--json", "--events", "a file"]),
        (["--camera", ""], ["--camera must be"]),
        (["--image_path", ""], ["must not be empty"]),
        (["--video_path", "utils"], ["is a folder"]),
        (["--realtime"], ["--realtime", "--video_path"]),
        (["--threshold", "nan"], ["between 0 and 1"]),
        (["--threshold", "2"], ["between 0 and 1"]),
        (["--video_path", "a.mp4", "--image_path", "b"], ["not allowed with"]),
    ],
)
def test_bad_sources_are_one_line(suite, words, parts):
    result = run_script("test.py", *models(suite), "--headless", *words)
    assert_one_error_line(result, *parts)
    assert "secret" not in result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--realtime"]])
def test_a_video_without_frames_is_one_line(suite, tmp_path, words):
    """Cut off behind its header, a video still opens."""
    whole, cut = tmp_path / "whole.avi", tmp_path / "cut.avi"
    write_clip(whole, [np.full((120, 160, 3), 90, np.uint8)])
    data = whole.read_bytes()
    cut.write_bytes(data[: data.index(b"movi") + len(b"movi")])
    result = run_script("test.py", *models(suite), "--headless", "-v", cut, *words)
    assert_one_error_line(result, "cut.avi has no frames")


@pytest.mark.slow
def test_bad_outputs_and_models_are_one_line(suite, clip, tmp_path):
    line = ["test.py", *models(suite), "--headless"]
    video = ["--video_path", clip[0]]
    assert_one_error_line(run_script(*line, *video, "--output", tmp_path / "a.xyz"), ".mp4")
    assert_one_error_line(run_script(*line, "--image_path", suite["faces"] / "person 0", "--output", "a.mp4"), "folder")
    assert_one_error_line(run_script(*line, *video, "--output", clip[0]), "the source itself")
    events = tmp_path / "events.jsonl"
    events.write_text("of an earlier run")
    line[6] = tmp_path / "no head"
    assert_one_error_line(run_script(*line, *video, "--events", events), "no head")
    assert events.read_text() == "of an earlier run"
    line[4] = suite["head"]
    assert_one_error_line(run_script(*line, *video), "no head")


@pytest.mark.slow
def test_without_a_screen_there_is_one_line(suite, clip):
    # A Window that another test opened sets QT_LOGGING_RULES, and Qt would keep its reason to itself.
    env = os.environ.copy()
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "QT_LOGGING_RULES"):
        env.pop(variable, None)
    commands = (["test.py", *models(suite), "--video_path", clip[0]], ["capture.py", "-o", "unused", "-v", clip[0]])
    for command in commands:
        assert_one_error_line(run_script(*command, env=env), "--headless", "DISPLAY")
        # Qt aborts the process if the named display does not exist. Ours must end with an error instead.
        assert_one_error_line(run_script(*command, env={**env, "DISPLAY": ":654"}), "--headless", "654")


@pytest.mark.slow
def test_capture_overwrites_nothing(clip, tmp_path, capsys):
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
    assert read_image(folder / "Zoë_8.png").shape == (CHIP_SIZE, CHIP_SIZE, 3)
    capsys.readouterr()
    assert capture.main(["--output", str(folder), "--headless"]) == 2
    assert "--every" in capsys.readouterr().err


@pytest.mark.slow
def test_capture_saves_only_single_faces(tmp_path, capsys):
    import capture

    photo = draw_selfie(sample_identity(101), np.random.default_rng(1))
    pair, single = np.hstack([photo, photo]), np.hstack([photo, np.full_like(photo, 90)])
    write_clip(tmp_path / "pair.avi", [pair] * 4 + [single] * 2)
    line = ["-o", str(tmp_path / "ada"), "-v", str(tmp_path / "pair.avi"), "--headless", "--every", "1"]
    assert capture.main([*line, "--gate", "0"]) == 0
    assert "2 faces saved" in capsys.readouterr().out
    assert capture.main(line) == 0
    out = capsys.readouterr().out
    assert "1 face saved" in out  # the second frame shows the same
    assert "2 faces: one at a time (4 frames), like the last one (1 frame)" in out


def test_help_prints_in_any_terminal_encoding():
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = run_script("selfies2face.py", "--help", env=env)
    assert result.returncode == 0 and "faces_path" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("source", ["video", "photo"])
def test_packed_people_get_the_same_names(suite, clip, tmp_path, monkeypatch, source):
    """From person folders, from a packed gallery, and from one that is too large to compare every face with."""
    features = tmp_path / "features"
    shutil.copytree(suite["features"], features)
    photo = sorted((suite["selfies"] / "person 0").iterdir())[0]
    words = ["--video_path", clip[0]] if source == "video" else ["--image_path", photo]
    faces = []
    for kind in ("folders", "packed", "large"):
        if kind == "packed":
            pack(features)
        monkeypatch.setattr(large_gallery, "MAX_EXACT_ROWS", 1 if kind == "large" else large_gallery.MAX_EXACT_ROWS)
        events = tmp_path / f"{kind}.jsonl"
        assert recognize(suite | {"features": features}, *words, "--events", events) == 0
        faces.append([face for line in read_events(events) for face in line.get("faces", [])])
    assert faces[0] and any(face["name"] for face in faces[0])
    assert faces[1] == faces[0]
    for ours, theirs in zip(faces[2], faces[0], strict=True):
        assert ours | {"score": 0} == theirs | {"score": 0} and ours["score"] == pytest.approx(
            theirs["score"], abs=1e-4
        )
    assert len(list((features / "_gallery").glob("*.faiss"))) >= 1
