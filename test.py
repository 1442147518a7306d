"""Step 5: recognize the enrolled people in a webcam, a video or photos.

  python test.py --features features --model models/dlib --classification models/similarity
  python test.py --features features --model models/dlib --classification models/similarity \\
      --video_path party.mp4 --headless --output annotated.mp4 --events events.jsonl

A face gets the name of the best-scoring person if that person's two best images together score above
--threshold. With --min_votes, more than this share of the person's images must. Otherwise the face is
"unknown". In videos and camera pictures faces are tracked, and a name is decided over several frames.

Keys in the window: e enrolls the largest face under a name that you type (needs --faces_path), n rejects
a wrong name, u undoes the last enrollment or rejection, s saves a snapshot, space pauses, h hides the
keys, q or Esc quits.
"""

import argparse
import sys
from contextlib import ExitStack

from utils.cli import (
    InputError,
    add_detection_arguments,
    add_engine_flags,
    add_give_up,
    add_mirror_switch,
    add_normalize_switch,
    bounded,
    clean_exit,
    file_path,
    script_parser,
    warn,
)

MIN_SIZE = 20  # pixels


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    _add_model_arguments(parser)
    _add_source_arguments(parser)
    parser.add_argument("--headless", action="store_true", help="open no window")
    add_mirror_switch(parser)
    _add_output_arguments(parser)
    _add_decision_arguments(parser)
    add_engine_flags(parser)
    add_detection_arguments(parser, MIN_SIZE)
    parser.add_argument(
        "--detect_width",
        type=bounded(int, 64),
        help="pixels; wider images are searched for faces in a copy of this width and cropped from the original "
        "(default: 640, for photos 1280)",
    )
    return parser


def _add_model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--features", required=True, type=file_path, help="folder that extract_features.py wrote")
    parser.add_argument("-m", "--model", required=True, type=file_path, help="extractor that made the features")
    parser.add_argument("-c", "--classification", required=True, type=file_path, help="head that train.py saved")
    add_normalize_switch(
        parser, help="1: normalize for a head of the original recipe; heads that train.py saved need no flag"
    )


def _add_source_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--camera", default="0", help="index, device path, or URL (RTSP, HTTP)")
    source.add_argument("-v", "--video_path", type=file_path, help="a video file instead of the camera")
    source.add_argument(
        "-i", "--image_path", type=file_path, help="a photo or a folder of photos instead of the camera"
    )
    parser.add_argument(
        "--realtime", action="store_true", help="play a video at its own speed and skip frames, as a camera would"
    )
    add_give_up(parser)


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--faces_path", type=file_path, help="folder of person folders for the faces that the window enrolls"
    )
    parser.add_argument(
        "--output",
        type=file_path,
        help="annotated video to write: .mp4, .webm, .mkv, .mov or .m4v, which browsers play, or .avi; for photos, a "
        "folder. Sound is not copied. A killed run leaves a playable .unfinished-* file beside it",
    )
    parser.add_argument(
        "--events",
        type=file_path,
        help="JSON lines to write: one line per frame with its faces; - for standard output, and the summary goes to "
        "stderr. The file takes its name at the end, and a killed run leaves an .unfinished-* file beside it; for a "
        "camera it has its name from the first line on, and older ones are kept as NAME.1.jsonl, NAME.2.jsonl, …",
    )
    parser.add_argument(
        "--unknown_dir",
        type=file_path,
        help="folder for the best chip of each face that was never named and seen in three frames or more",
    )


def _add_decision_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threshold",
        type=bounded(float, 0, 1),
        help="probability above which a face is accepted, 0-1 (default: the head's own, which rises with the number "
        "of enrolled people so that strangers are not named more often)",
    )
    parser.add_argument(
        "--min_votes",
        type=bounded(float, 0, 1),
        help="share of a person's images, 0-1; more than this must accept (default: the head's own, else no vote). "
        "The original recipe's rule is --threshold 0.8 --min_votes 0.85",
    )
    parser.add_argument(
        "--learn_strangers",
        action="store_true",
        help="keep the features, never the pictures, of strangers who come by, in _learned in the features folder: "
        "who looks too much like them has to look the more like a person to get the name",
    )


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The parsed flags. Raises InputError for flags that do not go together."""
    args = build_parser().parse_args(argv)
    if args.realtime and not args.video_path:
        raise InputError("--realtime plays a video at its own speed: it needs --video_path")
    if args.faces_path and args.image_path:
        raise InputError("--faces_path is for people enrolled in the window of a camera or video, not for photos")
    if args.faces_path and args.headless:
        warn("nobody can be enrolled without a window: --faces_path is for runs without --headless")
    if args.unknown_dir and args.image_path:
        raise InputError("--unknown_dir needs tracked faces: a video or a camera instead of photos")
    if args.learn_strangers and args.image_path:
        raise InputError("--learn_strangers needs tracked faces: a video or a camera instead of photos")
    return args


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    from utils.display.window import check_screen
    from utils.features.kept import report_kept
    from utils.live.outputs import Outputs, Summary, check_outputs
    from utils.live.session import Options, Session, load_models
    from utils.media.sources import is_mirrored, open_source

    # The quick checks come before the models are loaded.
    if not args.headless:
        check_screen()
    with ExitStack() as cleanup:
        source = open_source(args.camera, args.video_path, args.image_path, args.realtime, args.give_up)
        cleanup.callback(source.close)
        check_outputs(args.output, args.events, source, args.video_path or args.image_path)
        outputs = Outputs(args.output, args.events, source, cleanup)
        gallery, extractor, learned = load_models(
            features_path=args.features,
            model_path=args.model,
            head_path=args.classification,
            normalize=bool(args.normalize),
            threshold=args.threshold,
            min_votes=args.min_votes,
            can_enroll=bool(args.faces_path and not args.headless),
            engine=args.engine,
            precision=args.precision,
        )
        report_kept(args.features, args.faces_path)
        summary = Summary(timed=not args.image_path)
        cleanup.callback(summary.print)
        options = Options(
            detector=args.detector,
            min_size=args.min_size,
            align=bool(args.align),
            detect_width=args.detect_width,
            headless=args.headless,
            mirrored=is_mirrored(args.mirror, args.camera, args.video_path),
            faces_path=args.faces_path,
            features_path=args.features,
            unknown_dir=args.unknown_dir,
            learn_strangers=args.learn_strangers,
        )
        Session(gallery, extractor, learned, outputs, summary, options, cleanup).recognize(source)
    return 0


if __name__ == "__main__":
    sys.exit(main())
