"""Step 5: recognize the enrolled people in a webcam, a video or photos.

  python test.py --features features --model models/dlib --classification models/similarity
  python test.py --features features --model models/dlib --classification models/similarity \\
      --video_path party.mp4 --headless --output annotated.mp4 --events events.jsonl

A face gets the name of the best-scoring person if that person's two best images together score above
--threshold. With --min_votes, more than this share of the person's images must. Otherwise the face is
"unknown". In videos and camera pictures faces are tracked, and a name is decided over several frames.

Photos are shown one after another, and end in a summary of how often each person was named.

The window opens at once, and the models load behind it. Keys: e enrolls a face under a name that you type
(needs --faces_path); if the face has a name, e asks whether to enroll one more face of that person, to rename the
person, or to enroll somebody else. n rejects a wrong name, u undoes the last of these, s saves a snapshot, h hides
the keys, q or Esc quits. space pauses; among photos, space shows the next one and b the one before. e and n act on
the largest face, or on the one that you click; in a photo or a pause, a number chooses one of several faces, too.
"""

import argparse
import sys
from contextlib import ExitStack, redirect_stdout
from functools import partial
from pathlib import Path

from utils.cli import (
    InputError,
    add_detection_arguments,
    add_engine_flags,
    add_gallery_rule,
    add_model_arguments,
    add_source_arguments,
    bounded,
    clean_exit,
    file_path,
    local_path,
    script_parser,
    warn,
)
from utils.threads import limit_blas


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("-f", "--features", required=True, type=file_path, help="folder that extract_features.py wrote")
    add_model_arguments(parser)
    source = add_source_arguments(parser)
    source.add_argument(
        "-i", "--image_path", type=file_path, help="a photo or a folder of photos instead of the camera"
    )
    parser.add_argument(
        "--realtime", action="store_true", help="play a video at its own speed and skip frames, as a camera would"
    )
    parser.add_argument("--headless", action="store_true", help="open no window")
    _add_output_arguments(parser)
    add_gallery_rule(parser)
    parser.add_argument(
        "--learn_strangers",
        action="store_true",
        help="keep the features, never the pictures, of strangers who come by, in _learned in the features folder: "
        "who looks too much like them has to look the more like a person to get the name",
    )
    add_engine_flags(parser)
    add_detection_arguments(parser)
    parser.add_argument(
        "--detect_width",
        type=bounded(int, 64),
        help="pixels; wider images are searched for faces in a copy of this width and cropped from the original "
        "(default: 640, for photos 1280)",
    )
    return parser


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--faces_path", type=file_path, help="folder of person folders for the faces that the window enrolls"
    )
    parser.add_argument(
        "--output",
        type=local_path,
        help="annotated video to write: .mp4, .webm, .mkv, .mov or .m4v, which browsers play, or .avi; for photos, a "
        "folder. Sound is not copied. A killed run leaves a playable .unfinished-* file beside it",
    )
    parser.add_argument(
        "--events",
        type=local_path,
        help="JSON lines to write: one line per frame with its faces; - for standard output, and the summary goes to "
        "stderr. The file takes its name at the end, and a killed run leaves an .unfinished-* file beside it; for a "
        "camera it has its name from the first line on, and older ones are kept as NAME.1.jsonl, NAME.2.jsonl, …",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON, and all else to stderr")
    parser.add_argument(
        "--unknown_dir",
        type=file_path,
        help="folder for the best chip of each face that was never named and seen in three frames or more",
    )


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The parsed flags. Raises InputError for flags that do not go together."""
    args = build_parser().parse_args(argv)
    if args.realtime and not args.video_path:
        raise InputError("--realtime plays a video at its own speed: it needs --video_path")
    if args.faces_path and args.headless:
        warn("nobody can be enrolled without a window: --faces_path is for runs without --headless")
    if args.unknown_dir and args.image_path:
        raise InputError("--unknown_dir needs tracked faces: a video or a camera instead of photos")
    if args.learn_strangers and args.image_path:
        raise InputError("--learn_strangers needs tracked faces: a video or a camera instead of photos")
    if args.json and args.events == Path("-"):
        raise InputError("--json and --events - both write to standard output: give --events a file")
    return args


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    limit_blas()
    from utils.display.window import start_screen_check

    finish_screen_check = None if args.headless else start_screen_check()
    from utils.live.outputs import Outputs, check_outputs
    from utils.live.session import Options, Session, load_models
    from utils.live.summaries import PhotoSummary, Summary
    from utils.media.sources import is_mirrored, open_source

    # The quick checks come before the models are loaded.
    with ExitStack() as cleanup:
        source = open_source(args.camera, args.video_path, args.image_path, args.realtime, args.give_up)
        cleanup.callback(source.close)
        check_outputs(args.output, args.events, source, args.video_path or args.image_path)
        if finish_screen_check:
            finish_screen_check()
        summary = (PhotoSummary if args.image_path else Summary)(sys.stdout if args.json else None)
        if args.json:
            cleanup.enter_context(redirect_stdout(sys.stderr))
        outputs = Outputs(args.output, args.events, source, cleanup)
        cleanup.callback(summary.print)
        load = partial(
            load_models,
            features_path=args.features,
            model_path=args.model,
            head_path=args.classification,
            normalize=bool(args.normalize),
            threshold=args.threshold,
            min_votes=args.min_votes,
            can_enroll=bool(args.faces_path and not args.headless),
            engine=args.engine,
            precision=args.precision,
            faces_path=args.faces_path,
        )
        options = Options(
            detector=args.detector,
            min_size=args.min_size,
            align=bool(args.align),
            detect_width=args.detect_width,
            precision=args.precision,
            headless=args.headless,
            mirrored=is_mirrored(args.mirror, args.camera, args.video_path),
            faces_path=args.faces_path,
            features_path=args.features,
            unknown_dir=args.unknown_dir,
            learn_strangers=args.learn_strangers,
        )
        Session(load, outputs, summary, options, cleanup).recognize(source)
    return 0


if __name__ == "__main__":
    sys.exit(main())
