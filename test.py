"""Step 5: compare a webcam, a video or photos with the people in the features folder, live.

  python test.py --features features --model models/dlib --classification models/similarity
  python test.py --features features --model models/dlib --classification models/similarity \\
      --video_path party.mp4 --headless --output annotated.mp4 --events events.jsonl

A face gets the name of its best person if that person's two best images together, or with --min_votes
more than this share of the images, score above --threshold, else it is "unknown". In videos and before
cameras a face is followed, and its name decided over several looks at it.

Keys in the window: e enrolls the largest face under a name that you type (--faces_path), n says that a
name is wrong, u undoes the last of these, s saves a snapshot, space pauses, h hides the keys, q or Esc
quits.
"""

import argparse
import sys
from contextlib import ExitStack

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
)

MIN_SIZE = 20  # pixels
LIVE_WIDTH = 640  # pixels that cameras and videos are searched in


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("-f", "--features", required=True, type=file_path, help="folder that extract_features.py wrote")
    parser.add_argument(
        "-m", "--model", required=True, type=file_path, help="extractor that the features were made with"
    )
    parser.add_argument("-c", "--classification", required=True, type=file_path, help="head that train.py saved")
    add_normalize_switch(
        parser, help="1: normalize for a head of the original recipe; train.py's heads carry their own"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--camera", default="0", help="index, device path, or URL (RTSP, HTTP)")
    source.add_argument("-v", "--video_path", type=file_path, help="a video file instead of the camera")
    source.add_argument(
        "-i", "--image_path", type=file_path, help="a photo or a folder of photos instead of the camera"
    )
    parser.add_argument(
        "--realtime", action="store_true", help="play a video at its own speed and leave frames out, as a camera would"
    )
    add_give_up(parser)
    parser.add_argument("--headless", action="store_true", help="open no window")
    add_mirror_switch(parser)
    parser.add_argument(
        "--faces_path", type=file_path, help="folder of person folders with faces, for those enrolled in the window"
    )
    parser.add_argument("--output", type=file_path, help="annotated video to write (a folder for photos)")
    parser.add_argument("--events", type=file_path, help="JSON lines to write: a line a frame with its faces")
    parser.add_argument(
        "--unknown_dir",
        type=file_path,
        help="folder for the best picture of each face that never got a name, and was seen in three pictures or more",
    )
    parser.add_argument(
        "--threshold",
        type=bounded(float, 0, 1),
        help="probability that accepts, 0-1 (default: the head's own; higher where many people are enrolled, "
        "so that strangers get no more names)",
    )
    parser.add_argument(
        "--min_votes",
        type=bounded(float, 0, 1),
        help="share of a person's images, 0-1, more than which must accept (default: no vote, or the head's own); "
        "the original recipe's rule is --threshold 0.8 --min_votes 0.85",
    )
    add_detection_arguments(parser, MIN_SIZE)
    parser.add_argument(
        "--detect_width",
        type=bounded(int, 64),
        help=f"pixels; wider pictures are searched for faces in a copy of this width, and cropped from the original "
        f"(default: {LIVE_WIDTH}, for photos 1280)",
    )
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.realtime and not args.video_path:
        raise InputError("--realtime is how a video is played: it needs --video_path")
    if args.unknown_dir and args.image_path:
        raise InputError("--unknown_dir is for faces that are followed, in a video or before a camera")
    from utils.display.window import check_screen
    from utils.live.outputs import Outputs, Summary, check_outputs
    from utils.media.sources import open_source

    # The quick checks come before the models are loaded.
    if not args.headless:
        check_screen()
    with ExitStack() as cleanup:
        source = open_source(args.camera, args.video_path, args.image_path, args.realtime, args.give_up)
        cleanup.callback(source.close)
        check_outputs(args.output, args.events, source, args.video_path or args.image_path)
        gallery, extractor = load_models(args)
        outputs = Outputs(args.output, args.events, source, cleanup)
        summary = Summary(timed=not args.image_path)
        cleanup.callback(summary.print)
        compare = compare_photos if args.image_path else compare_film
        compare(source, gallery, extractor, outputs, summary, args, cleanup)
    return 0


def load_models(args):
    """The Gallery and the Extractor, which belong together. Raises InputError.

    Nobody needs to be enrolled where somebody can be in the window.
    """
    from utils.features.extractor import load_extractor
    from utils.features.feature_files import empty_features, has_people, load_features
    from utils.features.normalization import load_normalization
    from utils.heads.head import load_head
    from utils.recognition.gallery import BEST_IMAGES, Gallery, check_same_extractor

    may_be_empty = args.faces_path and not args.headless and not args.image_path
    features = None if may_be_empty and not has_people(args.features) else load_features(args.features)
    normalization = None
    if args.normalize and features:
        normalization = load_normalization(args.features, features.matrix.shape[1], features.extractor)
    head = load_head(args.classification, normalization)
    extractor = load_extractor(args.model)
    features = features or empty_features(extractor.dimension, extractor.fingerprint)
    check_same_extractor(features, head, extractor)
    min_votes = head.min_votes if args.min_votes is None else args.min_votes
    gallery = Gallery(features, head, args.threshold, min_votes)
    rule = f"the best {BEST_IMAGES}" if min_votes is None else f"more than {min_votes:.0%}"
    print(
        f"{counted(len(features.names), 'person', 'people')}, {counted(len(features.matrix), 'image')}; "
        f"accepted above {gallery.threshold:.3f} by {rule} of a person's images"
    )
    return gallery, extractor


def compare_photos(source, gallery, extractor, outputs, summary, args, cleanup: ExitStack) -> None:
    """Recognize photos, each by itself."""
    from utils.display.viewers import PhotoWindow
    from utils.faces.detection import DETECTION_SIZE, load_detector
    from utils.live.loops import run_photos
    from utils.recognition.recognizer import recognize_photo

    detect = load_detector(args.detector, args.min_size, bool(args.align), args.detect_width or DETECTION_SIZE)
    window = None if args.headless else PhotoWindow(cleanup)
    summary.begin()
    run_photos(source, lambda image: recognize_photo(image, detect, extractor, gallery), outputs, summary, window)


def compare_film(source, gallery, extractor, outputs, summary, args, cleanup: ExitStack) -> None:
    """Recognize a camera or a video, following faces from frame to frame."""
    from threadpoolctl import threadpool_limits

    from utils.live.loops import open_screen, run_camera, run_video
    from utils.live.outputs import UnknownFaces
    from utils.media.sources import is_mirrored
    from utils.recognition.recognizer import BackgroundRecognizer, load_recognizer

    # NumPy's second thread spins for a while after each comparison with a large gallery, on the core that the
    # networks need: with 1,000 people a frame took twice as long.
    cleanup.enter_context(threadpool_limits(1, "blas"))
    recognizer = load_recognizer(
        *(gallery, extractor, args.detector, args.min_size, bool(args.align), args.detect_width or LIVE_WIDTH),
        threads=0 if source.live else 1,
    )
    if args.unknown_dir:
        unknown = UnknownFaces(args.unknown_dir)
        recognizer.listeners.append(unknown)
        cleanup.callback(unknown.save)
    recognizer.warm_up()
    mirrored = is_mirrored(args.mirror, args.camera, args.video_path)
    screen = None if args.headless else open_screen(recognizer, args.faces_path, args.features, mirrored, cleanup)
    summary.begin()
    if source.live:
        background = BackgroundRecognizer(recognizer, source)
        cleanup.callback(background.close)
        run_camera(source, background, outputs, summary, screen)
    else:
        run_video(source, recognizer, outputs, summary, screen)


if __name__ == "__main__":
    sys.exit(main())
