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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli import (
    InputError,
    add_detection_arguments,
    add_give_up,
    add_mirror_switch,
    add_normalize_switch,
    bounded,
    clean_exit,
    counted,
    file_path,
    script_parser,
    summarize,
    warn,
)

if TYPE_CHECKING:
    from utils.features.extractor import Extractor
    from utils.live.outputs import Outputs, Summary
    from utils.media.camera import LiveSource
    from utils.media.sources import PhotoSource
    from utils.media.video import VideoSource
    from utils.recognition.gallery import Gallery

MIN_SIZE = 20  # pixels
LIVE_WIDTH = 640  # pixels; wider frames of cameras and videos are searched in a copy of this width


@dataclass(frozen=True)
class Options:
    """How faces are found, shown and saved."""

    detector: str  # retinaface or dlib
    min_size: int  # pixels; narrower and lower faces are ignored
    align: bool  # whether chips are aligned by landmarks
    detect_width: int | None  # pixels that are searched, None for the default
    headless: bool
    mirrored: bool
    faces_path: Path | None  # folders for people enrolled in the window: faces,
    features_path: Path  # and features
    unknown_dir: Path | None  # folder for faces that are never named


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    _add_model_arguments(parser)
    _add_source_arguments(parser)
    parser.add_argument("--headless", action="store_true", help="open no window")
    add_mirror_switch(parser)
    _add_output_arguments(parser)
    _add_decision_arguments(parser)
    add_detection_arguments(parser, MIN_SIZE)
    parser.add_argument(
        "--detect_width",
        type=bounded(int, 64),
        help="pixels; wider images are searched for faces in a copy of this width and cropped from the original "
        f"(default: {LIVE_WIDTH}, for photos 1280)",
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
        "stderr. The file takes its name at the end: a killed run leaves an .unfinished-* file beside it",
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
    return args


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    from utils.display.window import check_screen
    from utils.live.outputs import Outputs, Summary, check_outputs
    from utils.media.sources import PhotoSource, is_mirrored, open_source

    # The quick checks come before the models are loaded.
    if not args.headless:
        check_screen()
    with ExitStack() as cleanup:
        source = open_source(args.camera, args.video_path, args.image_path, args.realtime, args.give_up)
        cleanup.callback(source.close)
        check_outputs(args.output, args.events, source, args.video_path or args.image_path)
        outputs = Outputs(args.output, args.events, source, cleanup)
        gallery, extractor = load_models(
            features_path=args.features,
            model_path=args.model,
            head_path=args.classification,
            normalize=bool(args.normalize),
            threshold=args.threshold,
            min_votes=args.min_votes,
            can_enroll=bool(args.faces_path and not args.headless),
        )
        if args.faces_path:
            report_forgotten(gallery.names, args.faces_path, args.features)
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
        )
        if isinstance(source, PhotoSource):
            compare_photos(source, gallery, extractor, outputs, summary, options, cleanup)
        else:
            compare_frames(source, gallery, extractor, outputs, summary, options, cleanup)
    return 0


def load_models(
    features_path: Path,
    model_path: Path,
    head_path: Path,
    normalize: bool = False,
    threshold: float | None = None,
    min_votes: float | None = None,
    can_enroll: bool = False,
) -> "tuple[Gallery, Extractor]":
    """Load features, extractor and head, check that they fit together, and print what they are. Raises InputError.

    Args:
      features_path: folder that extract_features.py wrote.
      model_path: extractor that made the features.
      head_path: head that train.py saved.
      normalize: whether to normalize for a head of the original recipe.
      threshold: probability above which a face is accepted; None for the head's own.
      min_votes: share of a person's images, more than which must accept; None for the head's own.
      can_enroll: whether people can be enrolled later, so that features_path may have none yet.
    """
    from utils.features.extractor import load_extractor
    from utils.features.feature_files import empty_features, has_people, load_features
    from utils.features.normalization import load_normalization
    from utils.heads.head import load_head
    from utils.recognition.gallery import BEST_IMAGES, Gallery, check_same_extractor

    if features_path.is_dir() and not has_people(features_path) and not can_enroll:
        raise InputError(
            f"{features_path} has no features of people: run extract_features.py first, or enroll people in the window "
            "of a camera or video (--faces_path faces, without --headless)"
        )
    features = None if can_enroll and not has_people(features_path) else load_features(features_path)
    normalization = None
    if normalize and features:
        normalization = load_normalization(features_path, features.matrix.shape[1], features.extractor)
    head = load_head(head_path, normalization)
    extractor = load_extractor(model_path)
    features = features or empty_features(extractor.dimension, extractor.fingerprint)
    check_same_extractor(features, head, extractor)
    min_votes = head.min_votes if min_votes is None else min_votes
    gallery = Gallery(features, head, threshold, min_votes)
    rule = f"the best {BEST_IMAGES}" if min_votes is None else f"more than {min_votes:.0%}"
    print(
        f"{counted(len(features.names), 'person', 'people')}, {counted(len(features.matrix), 'image')}; "
        f"accepted above {gallery.threshold:.3f} by {rule} of a person's images"
    )
    return gallery, extractor


def report_forgotten(names: list[str], faces_path: Path, features_path: Path) -> None:
    """Print the people who have features but no folder of faces: deleting their faces alone does not forget them."""
    from utils.live.enrolled_files import people_without_faces

    kept = people_without_faces(names, faces_path)
    if kept:
        people = counted(len(kept), "person", "people")
        print(f"kept: {people} with features but without a folder in {faces_path}; delete these to forget them")
        print(summarize([str(features_path / name) for name in kept]))


def compare_photos(
    source: "PhotoSource",
    gallery: "Gallery",
    extractor: "Extractor",
    outputs: "Outputs",
    summary: "Summary",
    options: Options,
    cleanup: ExitStack,
) -> None:
    """Recognize photos, each by itself."""
    from utils.display.viewers import PhotoWindow
    from utils.faces.detection import DETECTION_SIZE
    from utils.faces.photo_search import load_photo_search
    from utils.live.loops import run_photos
    from utils.recognition.recognizer import recognize_photo

    width = options.detect_width or DETECTION_SIZE
    detect = load_photo_search(options.detector, options.align, width, min_size=options.min_size)
    window = None if options.headless else PhotoWindow(cleanup)
    summary.start()
    recognize = partial(recognize_photo, detect=detect, extractor=extractor, gallery=gallery)
    run_photos(source, recognize, outputs, summary, window)


def compare_frames(
    source: "VideoSource | LiveSource",
    gallery: "Gallery",
    extractor: "Extractor",
    outputs: "Outputs",
    summary: "Summary",
    options: Options,
    cleanup: ExitStack,
) -> None:
    """Recognize the frames of a video or a camera, tracking faces from one to the next."""
    from threadpoolctl import threadpool_limits

    from utils.live.loops import open_screen, run_camera, run_video
    from utils.live.outputs import UnknownFaces
    from utils.media.camera import LiveSource
    from utils.recognition.recognizer import BackgroundRecognizer, load_recognizer

    # After each comparison with a large gallery, NumPy's second thread spins for a while on the core that the
    # networks need: with 1,000 people a frame took twice as long.
    cleanup.enter_context(threadpool_limits(1, "blas"))
    width, threads = options.detect_width or LIVE_WIDTH, 0 if source.live else 1
    recognizer = load_recognizer(gallery, extractor, options.detector, options.min_size, options.align, width, threads)
    if options.unknown_dir:
        unknown = UnknownFaces(options.unknown_dir)
        recognizer.listeners.append(unknown)
        cleanup.callback(unknown.save)
    recognizer.warm_up()
    screen = None
    if not options.headless:
        screen = open_screen(recognizer, options.faces_path, options.features_path, options.mirrored, cleanup)
    summary.start()
    if isinstance(source, LiveSource):
        background = BackgroundRecognizer(recognizer, source)
        cleanup.callback(background.close)
        run_camera(source, background, outputs, summary, screen)
    else:
        run_video(source, recognizer, outputs, summary, screen)


if __name__ == "__main__":
    sys.exit(main())
