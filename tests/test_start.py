"""What the scripts import: TensorFlow takes seconds to start, and other libraries tenths of a second each."""

import json

import pytest
from support import run_script, webcam_view, write_clip

# Runs a script's main, then prints the packages that it has imported.
PROGRAM = """
import importlib, json, sys
script, *words = sys.argv[1:]
assert importlib.import_module(script).main(words) in (0, 1)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
TRAINING = {"tensorflow", "keras", "h5py"}
# Imported where they are needed.
LATE = {"sklearn", "scipy", "matplotlib", "av", "onnx", "onnxruntime", "dlib", "upath", "fsspec"}


def command_line(script: str, suite: dict, folder) -> tuple:
    """A run of a script on little."""
    models = ("-m", suite["extractor"], "-c", suite["head"])
    photos = sorted((suite["selfies"] / "person 0").iterdir())
    if script == "capture":
        write_clip(folder / "clip.mp4", [webcam_view()] * 4)
    return {
        "verify": (photos[0], photos[1], *models),
        "find": (photos[0], "-f", suite["features"], *models),
        "test": ("-f", suite["features"], *models, "-i", photos[0], "--headless"),
        "extract_features": ("-p", suite["faces"], "-m", suite["extractor"], "-f", folder / "features"),
        "capture": ("-o", folder / "ada", "-v", folder / "clip.mp4", "--headless", "--every", 1),
        "selfies2face": ("-s", suite["selfies"], "-p", folder / "faces"),
        "evaluate": ("-f", suite["features"], "-c", suite["head"], "--bootstrap", 0),
    }[script]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "needed"),
    [
        ("verify", set()),
        ("find", set()),
        ("test", set()),
        ("extract_features", set()),
        ("capture", {"dlib"}),  # compares the faces that it saves
        ("selfies2face", set()),
        ("evaluate", {"sklearn", "scipy"}),  # its curves
    ],
)
def test_scripts_that_train_nothing_import_nothing_to_train(script, needed, suite, tmp_path):
    result = run_script("-c", PROGRAM, script, *command_line(script, suite, tmp_path))
    assert result.returncode == 0, result.stderr
    imported = set(json.loads(result.stdout.splitlines()[-1]))
    assert not imported & (TRAINING | LATE - needed), result.stderr
