"""Two photos, or two folders of photos: the same person or not?

  python verify.py a.jpg b.jpg --model models/dlib --classification models/similarity
  python verify.py passport.jpg photos/ada --model models/dlib --classification models/similarity --output answer.png

A photo may show several faces: the best pair is what counts, it is said so, and with many pairs the threshold
rises as it does for many people in test.py. A folder is taken to show one person: the largest face of each of its
photos. Sides with several photos are compared photo by photo, and the mean of the log odds of these pairs is
the answer, so that no single photo decides and the threshold errs on the side of "different".

The exit status is 0 for the same person, 1 for different people and 2 for an error.
"""

import argparse
import json
import os
import sys
import traceback

from utils.cli import InputError, add_detection_arguments, bounded, clean_exit, counted, file_path, script_parser, warn

MIN_SIZE = 20  # pixels
SAME, DIFFERENT, ERROR = 0, 1, 2  # exit status


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("first", type=file_path, metavar="A", help="a photo, or a folder of photos of one person")
    parser.add_argument("second", type=file_path, metavar="B", help="another one")
    parser.add_argument("-m", "--model", required=True, type=file_path, help="extractor that network.py saved")
    parser.add_argument("-c", "--classification", required=True, type=file_path, help="head that train.py saved")
    parser.add_argument(
        "--threshold",
        type=bounded(float, 0, 1),
        help="probability above which it is the same person, 0-1 (default: the head's own)",
    )
    parser.add_argument("--output", type=file_path, help="picture to write: both sides and the answer, .png or .jpg")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a sentence")
    add_detection_arguments(parser, MIN_SIZE)
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    try:
        return verify(args)
    except (InputError, OSError, ImportError):
        raise
    except Exception:  # a bug of ours, which Python would end with 1: "different people"
        traceback.print_exc()
        return ERROR


def verify(args: argparse.Namespace) -> int:
    """Compare the two sides, say it; returns the exit status."""
    from utils.faces.detection import load_detector
    from utils.features.extractor import load_extractor
    from utils.heads.head import load_head
    from utils.recognition.gallery import check_head
    from utils.recognition.photo_comparison import compare_sides, find_side

    check_paths(args)
    head = load_head(args.classification)
    extractor = load_extractor(args.model)
    check_head(head, extractor.dimension, extractor.fingerprint, "--model is")
    detect = load_detector(args.detector, args.min_size, bool(args.align))
    sides = [find_side(path, detect) for path in (args.first, args.second)]
    for side in sides:
        for line in side.skipped:
            warn(f"left out: {line}")
    comparison = compare_sides(*sides, extractor, head)
    # The best of many pairs is high by chance more easily.
    threshold = head.threshold_for(comparison.pairs) if args.threshold is None else args.threshold
    same = comparison.probability > threshold
    if args.output:
        from utils.recognition.comparison_picture import draw_answer

        draw_answer(sides, comparison, threshold, args.output)
    words = as_dict(sides, comparison, threshold) if args.json else None
    say(json.dumps(words, indent=1, ensure_ascii=False) if args.json else sentence(sides, comparison, threshold))
    return SAME if same else DIFFERENT


def check_paths(args: argparse.Namespace) -> None:
    """Raise InputError where a path cannot be, before the models are loaded."""
    from utils.recognition.photo_comparison import list_photos

    for path in (args.first, args.second):
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if path.is_dir():
            list_photos(path)
    if args.output:
        if args.output.suffix.lower() not in (".png", ".jpg", ".jpeg") or args.output.is_dir():
            raise InputError(f"--output {args.output}: expected a picture, .png or .jpg")
        if args.output.exists() and any(args.output.samefile(path) for path in (args.first, args.second)):
            raise InputError(f"--output {args.output} is one of the photos")


def sentence(sides: list, comparison, threshold: float) -> str:
    """The answer in words, with what it rests on."""
    same = comparison.probability > threshold
    lines = [
        f"{'the same person' if same else 'different people'}: probability {comparison.probability:.4f}, "
        f"accepted above {threshold:.4f}; distance {comparison.distance:.3f}"
    ]
    faces = len(comparison.first) * len(comparison.second)
    if comparison.pairs > 1:
        found = " and ".join(counted(len(side.candidates), "face") for side in sides)
        boxes = " and ".join(
            str(part[0].face.box)
            for side, part in zip(sides, (comparison.first, comparison.second), strict=True)
            if len(side.candidates) > 1
        )
        lines.append(f"the best of {comparison.pairs} pairs ({found}), with the face at {boxes} (x, y, w, h)")
    if faces > 1:
        lines.append(f"the mean of the log odds of {faces} pairs of photos, and of their distances")
    lines += [
        f"{side.path}: {counted(side.crowded, 'photo')} with several faces, of which the largest is taken"
        for side in sides
        if side.crowded
    ]
    return "\n".join(lines)


def as_dict(sides: list, comparison, threshold: float) -> dict:
    """The answer for --json."""
    parts = {}
    for name, side, faces in zip(("a", "b"), sides, (comparison.first, comparison.second), strict=True):
        parts[name] = {
            "path": str(side.path),
            "faces_found": sum(map(len, side.candidates)),
            "compared": [{"photo": str(found.photo), "box": list(found.face.box)} for found in faces],
            "left_out": side.skipped,
        }
    return {
        "same": bool(comparison.probability > threshold),
        "probability": comparison.probability,
        "threshold": threshold,
        "distance": comparison.distance,
        "best_of_pairs": comparison.pairs,
        **parts,
    }


def say(text: str) -> None:
    """Print; a reader that has gone already (`| head -0`) must not change the exit status."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
