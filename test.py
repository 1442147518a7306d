"""Step 5: compare a webcam, a video or photos with the people in the features folder, live.

  python test.py --features features --model models/dlib --classification models/similarity
  python test.py --features features --model models/dlib --classification models/similarity \\
      --video_path party.mp4 --headless --output annotated.mp4 --events events.jsonl

A face gets the name of its best person if more than --min_votes of that person's images score
above --threshold, else it is "unknown". Keys in the window: q or Esc quits.
"""

import argparse
import json
import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from utils.cli import InputError, add_normalize_switch, bounded, clean_exit, counted, file_path, script_parser
from utils.detection_arguments import add_detection_arguments

MIN_SIZE = 20  # pixels


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("-f", "--features", required=True, type=file_path, help="folder that extract_features.py wrote")
    parser.add_argument(
        "-m", "--model", required=True, type=file_path, help="extractor that the features were made with"
    )
    parser.add_argument("-c", "--classification", required=True, type=file_path, help="head that train.py saved")
    add_normalize_switch(
        parser, help="1: normalise for a head of the original recipe; train.py's heads carry their own"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--camera", default="0", help="index, device path, or URL (RTSP, HTTP)")
    source.add_argument("-v", "--video_path", type=file_path, help="a video file instead of the camera")
    source.add_argument(
        "-i", "--image_path", type=file_path, help="a photo or a folder of photos instead of the camera"
    )
    parser.add_argument("--headless", action="store_true", help="open no window")
    parser.add_argument("--output", type=file_path, help="annotated video to write (a folder for photos)")
    parser.add_argument("--events", type=file_path, help="JSON lines to write: a line a frame with its faces")
    parser.add_argument(
        "--threshold",
        type=bounded(float, 0, 1),
        help="probability that accepts, 0-1 (default: the head's own)",
    )
    parser.add_argument(
        "--min_votes",
        type=bounded(float, 0, 1),
        help="share of a person's images, 0-1, more than which must accept (default: the head's own); "
        "the original recipe's rule is --threshold 0.8 --min_votes 0.85",
    )
    add_detection_arguments(parser, MIN_SIZE)
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    from utils.video import open_source
    from utils.window import check_screen

    # The quick checks come before the models are loaded.
    if not args.headless:
        check_screen()
    with ExitStack() as cleanup:
        source = open_source(args.camera, args.video_path, args.image_path)
        cleanup.callback(source.close)
        check_outputs(args.output, args.events, source, args.video_path or args.image_path)
        gallery, extractor = load_models(
            args.features, args.model, args.classification, bool(args.normalize), args.threshold, args.min_votes
        )
        recognize = load_recognizer(gallery, extractor, args.detector, args.min_size, bool(args.align))
        outputs = Outputs(args.output, args.events, source, cleanup)
        return run(source, recognize, outputs, args.headless, cleanup)


def check_outputs(output: Path | None, events: Path | None, source, source_path: Path | None) -> None:
    """Raise InputError where an output cannot be, before anything is loaded or opened."""
    from utils.video import CODECS, PhotoSource

    for name, path in (("--output", output), ("--events", events)):
        if path and source_path and path.exists() and path.samefile(source_path):
            raise InputError(f"{name} {path} is the source itself")
    if output and events and output.resolve() == events.resolve():
        raise InputError(f"--output and --events are one file: {output}")
    if output and isinstance(source, PhotoSource):
        if output.suffix or output.is_file():
            raise InputError(f"--output {output}: expected a folder for photos")
    elif output and (output.suffix.lower() not in CODECS or output.is_dir()):
        raise InputError(f"--output {output}: expected a video file, one of {', '.join(CODECS)}")


def load_models(features_path, model_path, head_path, normalize: bool, threshold, min_votes):
    """The Gallery and the Extractor, which belong together; None takes the head's own rule. Raises InputError."""
    from utils.extractor import load_extractor
    from utils.features import load_features
    from utils.gallery import Gallery, check_same_extractor
    from utils.head import load_head
    from utils.normalization import load_normalization

    features = load_features(features_path)
    normalization = None
    if normalize:
        normalization = load_normalization(features_path, features.matrix.shape[1], features.extractor)
    head = load_head(head_path, normalization)
    extractor = load_extractor(model_path)
    check_same_extractor(features, head, extractor)
    threshold = head.threshold if threshold is None else threshold
    min_votes = head.min_votes if min_votes is None else min_votes
    print(
        f"{counted(len(features.names), 'person', 'people')}, {counted(len(features.matrix), 'image')}; "
        f"accepted above {threshold:.3f} by more than {min_votes:.0%} of a person's images"
    )
    return Gallery(features, head, threshold, min_votes), extractor


def load_recognizer(gallery, extractor, detector: str, min_size: int, align: bool):
    """A function from an RGB uint8 image to its list of (box_xywh, Decision)."""
    from utils.faces import face_chip, load_detector

    detect = load_detector(detector, min_size, align)

    def recognize(image):
        faces = detect(image)
        # One call of each network for all faces of the frame.
        probes = extractor.embed([face_chip(image, face) for face in faces])
        return [(face.box, decision) for face, decision in zip(faces, gallery.identify(probes), strict=True)]

    return recognize


class Outputs:
    """The annotated pictures and the event lines of a run, each only if asked for."""

    def __init__(self, output: Path | None, events: Path | None, source, cleanup: ExitStack):
        from utils.video import PhotoSource, VideoOutput

        self.folder = self.video = self.events = None
        if output and isinstance(source, PhotoSource):
            self.folder = output
        elif output:
            self.video = VideoOutput(output, source.rate)
            cleanup.callback(self.video.close)
        if events:
            events.parent.mkdir(parents=True, exist_ok=True)
            # A file name's stray bytes become escapes, which JSON reads back as the same name.
            self.events = cleanup.enter_context(
                events.open("w", encoding="utf-8", errors="backslashreplace", buffering=1)
            )

    def write(self, index: int, frame, annotated, results, live: bool) -> None:
        if self.folder:
            from utils.images import png_name, write_image

            write_image(self.folder / png_name(frame.name), annotated)
        if self.video:
            self.video.write(annotated)
        if self.events:
            self.events.write(json.dumps(event(index, frame, results, live), ensure_ascii=False) + "\n")


def event(index: int, frame, results, live: bool) -> dict:
    """The event line of a frame. A camera's frame has the clock's time too, a photo's its file name."""
    line = {"frame": index, "time": round(frame.time, 3)}
    if live:
        line["clock"] = datetime.now().astimezone().isoformat(timespec="milliseconds")
    if frame.name:
        line["image"] = frame.name
    line["faces"] = [
        {"box": list(box), "name": decision.name, "score": round(decision.score, 4)} for box, decision in results
    ]
    return line


def run(source, recognize, outputs: Outputs, headless: bool, cleanup: ExitStack) -> int:
    """Recognise frame by frame until the source ends or the window is told to quit; print a summary."""
    import time
    from collections import Counter

    from tqdm import tqdm

    from utils.window import Window

    window = None
    frames_named, faces, count = Counter(), 0, 0
    start = time.monotonic()
    try:
        for frame in tqdm(source.frames(), unit="frame", disable=None if headless else True):
            results = recognize(frame.image)
            annotated = annotate(frame.image, results)
            outputs.write(count, frame, annotated, results, source.live)
            count += 1
            faces += len(results)
            frames_named.update(decision.name for _, decision in results if decision.name)
            if headless:
                continue
            if window is None:
                window = Window("Siamese Faces", annotated.shape[1::-1])
                cleanup.callback(window.close)
            # A file is not shown faster than it was filmed; a photo stays until a key is pressed.
            key = window.show(annotated, 0.0 if source.live or frame.name else 1 / source.rate)
            if frame.name and not key:
                key = window.wait()
            if key == "q":
                break
    finally:
        rate = count / max(time.monotonic() - start, 1e-9)
        unknown = faces - frames_named.total()
        print(f"{counted(count, 'frame')} at {rate:.1f} a second, {counted(faces, 'face')}, {unknown} unknown")
        for name, named in frames_named.most_common():
            print(f"  {name}: {counted(named, 'frame')}")
    return 0


def annotate(image, results):
    """A copy of an RGB uint8 image with the boxes, names and scores drawn on it."""
    from utils.drawing import draw_face

    annotated = image.copy()
    for box, decision in results:
        draw_face(annotated, box, decision.name, decision.score)
    return annotated


if __name__ == "__main__":
    sys.exit(main())
