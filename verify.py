"""Compare two photos, or two folders of photos: do they show the same person?

  python verify.py a.jpg b.jpg --model models/dlib --classification models/similarity
  python verify.py passport.jpg photos/ada --model models/dlib --classification models/similarity --output answer.png

If a photo shows several faces, the best pair counts and the answer says so. With many pairs the threshold rises,
as it does for many people in test.py. A folder must show one person: of several faces in a photo, the one that
agrees with the other photos is used. Folders are compared photo by photo, and the answer is the mean of the log
odds of these pairs. So no single photo decides, and the threshold errs on the side of "different".

The exit status is 0 for the same person, 1 for different people and 2 for an error.
"""

import argparse
import json
import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli import (
    InputError,
    add_detection_arguments,
    add_engine_flags,
    add_model_arguments,
    bounded,
    clean_exit,
    counted,
    file_path,
    script_parser,
    summarize,
    warn,
)
from utils.threads import Loading, limit_blas

if TYPE_CHECKING:
    from utils.recognition.photo_comparison import Comparison, Side

EXIT_SAME, EXIT_DIFFERENT, EXIT_ERROR = 0, 1, 2


@dataclass(frozen=True)
class VerifyOptions:
    """The command line; see `--help`."""

    first: Path
    second: Path
    model: Path
    classification: Path
    threshold: float | None
    cohort: Path | None
    output: Path | None
    json: bool
    engine: str
    precision: str
    detector: str
    min_size: int
    align: int


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("first", type=file_path, metavar="A", help="photo, or folder with photos of one person")
    parser.add_argument("second", type=file_path, metavar="B", help="photo or folder to compare it with")
    add_model_arguments(parser)
    parser.add_argument(
        "--threshold",
        type=bounded(float, 0, 1),
        help="probability above which both are the same person, 0-1 (default: from the head)",
    )
    parser.add_argument(
        "--cohort",
        type=file_path,
        metavar="FEATURES",
        help="features folder whose _strangers show how alike people look here: two faces that look too much like "
        "them have to look the more like each other",
    )
    parser.add_argument("--output", type=file_path, help="picture of both sides and the answer to write, .png or .jpg")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a sentence")
    add_engine_flags(parser)
    add_detection_arguments(parser)
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    options = VerifyOptions(**vars(build_parser().parse_args(argv)))
    try:
        return verify(options)
    except (InputError, OSError, ImportError):
        raise
    except Exception:  # a bug: Python would exit with 1, which means "different people" here
        traceback.print_exc()
        return EXIT_ERROR


def verify(options: VerifyOptions) -> int:
    """Compare the two sides and print the answer. Returns the exit status."""
    limit_blas()
    from utils.faces.photo_search import load_photo_search
    from utils.features.extractor import load_extractor
    from utils.features.feature_files import load_strangers
    from utils.heads.head import load_head
    from utils.recognition.cohort import NormalizedHead
    from utils.recognition.gallery import check_head
    from utils.recognition.photo_comparison import compare_sides, load_side

    paths = (options.first, options.second)
    check_paths(paths, options.output)
    head = load_head(options.classification)
    loading = Loading(lambda: load_extractor(options.model, options.precision, engine=options.engine))
    search = load_photo_search(options.detector, bool(options.align))
    if any(path.is_dir() for path in paths):  # no search of a folder is in vain for want of an extractor
        loading.result()
    first, second = (
        load_side(path, search, options.min_size, lambda chips: loading.result().embed(chips)) for path in paths
    )
    extractor = loading.result()
    check_head(head, extractor.dimension, extractor.fingerprint, "the features of --model come")
    if options.cohort:
        head = NormalizedHead(head, load_strangers(options.cohort, extractor.fingerprint, extractor.dimension))
    sides = [first, second]
    for side in sides:
        for message in side.skipped:
            warn(f"skipped: {message}")
        for message in side.unsure:
            warn(message)
    comparison = compare_sides(first, second, extractor, head)
    # The more pairs there are, the higher is the best of them by chance.
    threshold = head.threshold_for(comparison.candidate_pairs) if options.threshold is None else options.threshold
    if options.output:
        from utils.recognition.comparison_picture import draw_answer

        draw_answer(sides, comparison, threshold, options.output)
    answer = as_dict(sides, comparison, threshold)
    text = json.dumps(answer, indent=1, ensure_ascii=False) if options.json else as_text(sides, comparison, threshold)
    print_answer(text)
    return EXIT_SAME if comparison.probability > threshold else EXIT_DIFFERENT


def check_paths(inputs: tuple[Path, Path], output: Path | None) -> None:
    """Raise InputError for a path that cannot be used, before the models are loaded."""
    from utils.media.pipes import is_pipe
    from utils.media.sources import is_address
    from utils.recognition.photo_comparison import list_photos
    from utils.storage import is_same_file

    for path in inputs:
        if is_address(path):  # not repeated, because it may hold a password
            raise InputError("expected a photo or a folder. Received: an address")
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if path.is_dir():
            list_photos(path)
        else:
            is_pipe(path)  # raises for a device
    if output:
        if output.suffix.lower() not in (".png", ".jpg", ".jpeg") or output.is_dir():
            raise InputError(f"--output {output}: expected a .png or .jpg file")
        if output.exists() and any(is_same_file(output, path) for path in inputs):
            raise InputError(f"--output {output} is one of the photos to compare")


def as_text(sides: list["Side"], comparison: "Comparison", threshold: float) -> str:
    """The answer as a sentence, followed by a line for each fact that it depends on."""
    from utils.media.albums import describe_unread

    same = comparison.probability > threshold
    lines = [
        f"{'the same person' if same else 'different people'}: probability {comparison.probability:.4f}, "
        f"accepted above {threshold:.4f}; distance {comparison.distance:.3f}"
    ]
    compared = comparison.first_faces, comparison.second_faces
    if comparison.candidate_pairs > 1:
        counts = " and ".join(counted(len(side.candidates), "face") for side in sides)
        boxes = " and ".join(
            str(faces[0].face.box) for side, faces in zip(sides, compared, strict=True) if len(side.candidates) > 1
        )
        lines.append(
            f"the best of {comparison.candidate_pairs} pairs ({counts}), with the face at {boxes} (x, y, w, h)"
        )
    photo_pairs = len(compared[0]) * len(compared[1])
    if photo_pairs > 1:
        lines.append(f"log odds and distances averaged over {photo_pairs} pairs of photos")
    if comparison.kind_known is False:
        lines.append("no strangers of this kind known: the threshold is only for people like those it was chosen on")
    for side in sides:
        agreed = side.crowded_photos - len(side.unsure)
        if agreed:
            used = "the one that agrees with the other photos is used"
            lines.append(f"{side.path}: {counted(agreed, 'photo')} with several faces; {used}")
        if side.unread:
            lines.append(f"not read of {side.path}: {describe_unread(side.unread)}")
            lines.append(summarize([str(item) for item in side.unread]))
    return "\n".join(lines)


def as_dict(sides: list["Side"], comparison: "Comparison", threshold: float) -> dict:
    """The answer for `--json`."""
    answer: dict[str, object] = {
        "same": bool(comparison.probability > threshold),
        "probability": comparison.probability,
        "threshold": threshold,
        "distance": comparison.distance,
        "best_of_pairs": comparison.candidate_pairs,
        "kind_known": comparison.kind_known,
    }
    for key, side, faces in zip("ab", sides, (comparison.first_faces, comparison.second_faces), strict=True):
        answer[key] = {
            "path": str(side.path),
            "faces_found": sum(map(len, side.candidates)),
            "compared": [{"photo": str(face.photo), "box": list(face.face.box)} for face in faces],
            "left_out": side.skipped,
            "unsure": side.unsure,
            "not_read": [str(item) for item in side.unread],
        }
    return answer


def print_answer(text: str) -> None:
    """Print to stdout. If the reader has closed the pipe (`| head -0`), the exit status must not change."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
