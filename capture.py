"""Collect a person's faces, or strangers' faces, from a webcam or a video.

  python capture.py --output faces/ada
  python capture.py --output faces/ada --guide
  python capture.py --output faces/ada --video_path ada.mp4
  python capture.py --output faces/ada --every 10 --count 20 --headless
  python capture.py --output faces/_strangers --headless --count 100

Keys in the window: s saves, u deletes the face saved last, space pauses, g starts the guide (it asks for
a few poses and saves them by itself), h shows the keys, q or Esc quits.

A face is saved if it is good enough: large, sharp and well lit, turned to the camera, and not too similar
to a face saved before in this run. Otherwise the window says why not, and a save that you asked for waits
until the face is good. With several faces in view, the largest must be at least twice as high as the others.

If a face is unlike those saved so far and those already in the folder, the window asks whether this is still
the same person, and s saves it; without a window it is left out. --same_person saves every face unasked. This
notices another person, but neither a twin nor a photo of the person. The guide does not take the tilt of a photo
for a turn of the head in most cases; it is no liveness check.

In the folder _strangers, which holds faces of people who are not enrolled, a good face of everybody who passes by
is saved unasked, one of each person as far as faces can tell. Look through them: whoever is enrolled must not be there.
New files are numbered after the existing ones; nothing is overwritten.
"""

import argparse
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from utils.cli import (
    InputError,
    add_detection_arguments,
    add_source_arguments,
    add_switch,
    bounded,
    clean_exit,
    counted,
    file_path,
    script_parser,
)
from utils.threads import limit_blas

if TYPE_CHECKING:
    from utils.capture.collector import Collector

MIN_SIZE = 60  # pixels
LIVE_SEARCH_SIZE = 640  # pixels; larger frames of a camera are searched in a copy of this size, to keep up


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=file_path,
        help="the person's folder; its name is the person's name, or _strangers",
    )
    add_source_arguments(parser)
    _add_saving_arguments(parser)
    parser.add_argument("--headless", action="store_true", help="open no window; needs --every or --guide")
    add_detection_arguments(parser, MIN_SIZE)
    return parser


def _add_saving_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--every", type=bounded(int, 0), default=0, help="save a face every N frames of the source; 0: never"
    )
    parser.add_argument("--count", type=bounded(int, 0), default=0, help="stop after N saved faces; 0: no limit")
    parser.add_argument("--guide", action="store_true", help="ask for five poses and save them automatically")
    parser.add_argument(
        "--same_person",
        action="store_true",
        help="save every face, even one that is unlike those saved so far and may be another person's",
    )
    add_switch(parser, "--gate", default=1, help="1: save only faces that are good enough; 0: any face")


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The parsed flags, and `strangers`: whether --output is for these. Raises InputError for those that do not fit."""
    args = build_parser().parse_args(argv)
    from utils.features.feature_files import STRANGERS

    args.strangers = args.output.resolve().name == STRANGERS
    if args.strangers and (args.every or args.guide or args.same_person):
        raise InputError(
            f"--output {args.output}: faces of strangers are saved unasked, one of each person: leave out --every, "
            "--guide and --same_person"
        )
    if args.headless and not (args.every or args.guide or args.strangers):
        raise InputError("--headless leaves no key to save with: add --every N or --guide")
    return args


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    limit_blas()
    from utils.display.window import start_screen_check
    from utils.media.sources import is_mirrored, open_source

    finish_screen_check = None if args.headless else start_screen_check()
    with ExitStack() as cleanup:
        source = open_source(args.camera, args.video_path, None, give_up=args.give_up)
        cleanup.callback(source.close)
        if finish_screen_check:
            finish_screen_check()
        from utils.capture.collector import Collector
        from utils.capture.guide import Guide
        from utils.capture.loops import collect_from_camera, collect_from_frames, open_preview
        from utils.capture.same_person import MAX_KNOWN, SamePerson
        from utils.capture.strangers import MAX_STRANGERS, StrangerCollector
        from utils.faces.detection import DETECTION_SIZE, load_detector
        from utils.faces.folder import FaceSaver
        from utils.files import make_folder
        from utils.media.camera import LiveSource

        make_folder(args.output, private=True)
        search_size = LIVE_SEARCH_SIZE if source.live else DETECTION_SIZE
        detect = load_detector(args.detector, args.min_size, bool(args.align), search_size)
        guide = Guide() if args.guide else None
        max_known = MAX_STRANGERS if args.strangers else MAX_KNOWN
        collector = (StrangerCollector if args.strangers else Collector)(
            FaceSaver(args.output),
            bool(args.gate),
            args.every,
            guide,
            source.rate,
            args.count or None,
            same_person=None if args.same_person else SamePerson(args.output, max_known=max_known),
        )
        mirrored = is_mirrored(args.mirror, args.camera, args.video_path)
        screen = None if args.headless else open_preview(collector, mirrored, cleanup)
        try:
            if screen and isinstance(source, LiveSource):
                collect_from_camera(source, detect, collector, screen)
            else:
                collect_from_frames(source, detect, collector, screen)
        finally:
            report(collector, args.headless)
    return 0


def report(collector: "Collector", headless: bool) -> None:
    """Print how many faces were saved, which poses are missing, and, without a window, why faces were rejected."""
    saver = collector.saver
    print(f"{counted(saver.saved, 'face')} saved in {saver.folder}")
    if collector.guide:
        print(collector.guide.summary)
    if headless and collector.rejected:
        reasons = (f"{reason} ({counted(count, 'frame')})" for reason, count in collector.rejected.most_common())
        print(f"not saved: {', '.join(reasons)}")


if __name__ == "__main__":
    sys.exit(main())
