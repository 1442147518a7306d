"""How fast live recognition is, beside the naive loop that it replaces, and how it grows.

  python benchmarks/live.py --features features --model models/dlib --classification models/similarity \\
      --video_path party.mp4 --others others_features --visitors others --output live.json

On the video: frames a second of test.py's loop with an annotated video written, and of the original
recipe's (one `predict` a face, one `predict` a person and face, one frame after the other) on every
tenth frame. Before a camera, 640×480 people at 30 frames a second from another process, drawn or photos
of --visitors: what the window shows, how long it waits, and how soon a newcomer is named; on a real
window where there is a screen. Then with more people enrolled (drawn numbers, or people of --others),
by turns with those who are, and more faces in view.
"""

import argparse
import os
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils.cli import InputError, bounded, clean_exit, counted, file_path, script_parser

PARTS = ("video", "camera", "people", "faces")
PEOPLE, FACES = (1, 10, 100, 1000), (1, 2, 4, 8)
NAIVE_EVERY = 10  # frames of the video that the naive loop is given one of
ROUNDS = 3  # of each growth measurement, of which the middle one counts


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("-f", "--features", required=True, type=file_path, help="folder that extract_features.py wrote")
    parser.add_argument("-m", "--model", required=True, type=file_path, help="extractor of the features")
    parser.add_argument("-c", "--classification", required=True, type=file_path, help="head that train.py saved")
    parser.add_argument("-v", "--video_path", required=True, type=file_path, help="a video")
    parser.add_argument("--others", type=file_path, help="features of many people, to enroll more of")
    parser.add_argument(
        "--visitors",
        type=file_path,
        help="folder of person folders with crops as for --align 1: some of these people come before the camera, "
        "instead of drawn ones",
    )
    parser.add_argument("--detect_width", type=bounded(int, 64), default=640, help="pixels that are searched")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure")
    parser.add_argument("-o", "--output", type=file_path, help="JSON file for the figures")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    from threadpoolctl import threadpool_limits

    bench = Bench(args.features, args.model, args.classification, args.detect_width)
    threadpool_limits(1, "blas")  # as test.py does, of the libraries that are loaded by now
    figures = {"cores": os.cpu_count(), "detect_width": args.detect_width}
    if "video" in args.parts:
        figures["video"] = bench.video(args.video_path)
    if "camera" in args.parts:
        figures["camera"] = bench.camera(args.visitors)
    if "people" in args.parts:
        figures["people"] = bench.people(args.video_path, args.others)
    if "faces" in args.parts:
        figures["faces"] = {n: bench.faces(n) for n in FACES}
    if args.output:
        from utils.files import write_json

        write_json(args.output, figures)
    return 0


class Bench:
    """The networks, loaded once, and one method a measurement; each prints its line and returns its figures."""

    def __init__(self, features: Path, model: Path, head: Path, width: int):
        from utils.features.extractor import load_extractor
        from utils.features.feature_files import load_features
        from utils.heads.head import load_head

        self.features, self.head, self.extractor = load_features(features), load_head(head), load_extractor(model)
        self.width = width

    def recognizer(self, features=None, threads: int = 1):
        from utils.recognition.gallery import Gallery
        from utils.recognition.recognizer import load_recognizer

        gallery = Gallery(features or self.features, self.head, None, self.head.min_votes)
        recognizer = load_recognizer(gallery, self.extractor, "retinaface", 20, True, self.width, threads)
        recognizer.warm_up()
        return recognizer

    def run(self, frames, recognizer, output: Path) -> float:
        """Frames a second of test.py's loop over a source of frames, with an annotated video written."""
        from utils.live.loops import run_video
        from utils.live.outputs import Outputs, Summary

        summary = Summary(timed=True)
        with ExitStack() as cleanup:
            outputs = Outputs(output, output.with_suffix(".jsonl"), frames, cleanup)
            start = time.perf_counter()
            run_video(frames, recognizer, outputs, summary, None)
        return summary.frames / (time.perf_counter() - start)

    def run_file(self, path: Path, recognizer, output: Path) -> float:
        """The same over a video file."""
        from utils.media.video import VideoSource

        with closing(VideoSource(path)) as film:
            return self.run(film, recognizer, output)

    def video(self, path: Path) -> dict:
        from utils.media.video import VideoSource

        with tempfile.TemporaryDirectory() as folder, closing(VideoSource(path)) as film:
            ours = self.run_file(path, self.recognizer(), Path(folder, "ours.mp4"))
            frames = [frame.image for frame in film.frames()][::NAIVE_EVERY]
            naive = naive_rate(frames, self.extractor, self.head, self.features)
        print(f"video: {ours:.1f} frames/s, naive loop {naive:.2f}: {ours / naive:.0f} times")
        return {"frames_per_second": ours, "naive_frames_per_second": naive, "times": ours / naive}

    def people(self, path: Path, others: Path | None) -> dict:
        """The video with PEOPLE enrolled, and with as many as there are features of: by turns, round after round."""
        import numpy as np
        from visits import PHOTOS

        from utils.features.feature_files import load_features

        many = load_features(others) if others else None
        own = len(self.features.names)
        counts = sorted({*PEOPLE, own})
        recognizers = {count: self.recognizer(enrolled(count, self.features, many)) for count in counts}
        rates = {count: [] for count in counts}
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(ROUNDS):
                for count, recognizer in recognizers.items():
                    recognizer.tracks.cut()
                    rates[count].append(self.run_file(path, recognizer, Path(folder, "out.mp4")))
        for count in counts:
            # Each round's by itself: whatever else the machine does then, it does to both.
            share = np.median(np.divide(rates[count], rates[own]))
            print(f"{count} people × {PHOTOS} photos: {np.median(rates[count]):.1f} frames/s, {share:.2f} of {own}'s")
        return {count: {"frames_per_second": float(np.median(rates[count]))} for count in counts}

    def faces(self, count: int) -> dict:
        """Drawn people, so many at a time."""
        import numpy as np
        from visits import Crowd

        film = Crowd(count, 120)
        recognizer = self.recognizer()
        with tempfile.TemporaryDirectory() as folder:
            rates = []
            for _ in range(ROUNDS):
                recognizer.tracks.cut()
                rates.append(self.run(film, recognizer, Path(folder, "out.mp4")))
        found = np.median([len(recognizer.recognize(frame).faces) for frame in list(film.frames())[:10]])
        naive = naive_rate([frame.image for frame in film.frames()][:5], self.extractor, self.head, self.features)
        rate = float(np.median(rates))
        print(f"{count} faces in view ({found:.0f} found): {rate:.1f} frames/s, naive loop {naive:.2f}")
        return {"frames_per_second": rate, "naive_frames_per_second": naive, "found": float(found)}

    def camera(self, visitors: Path | None) -> dict:
        """A camera before which enrolled people come and go, in real time."""
        import numpy as np
        from visits import RATE, VISIT_FRAMES, VISITS, Watch, enrolled_visitors, start_camera

        from utils.live.loops import open_screen, run_camera
        from utils.live.outputs import Outputs, Summary
        from utils.media.camera import Camera
        from utils.recognition.recognizer import BackgroundRecognizer

        recognizer = self.recognizer(enrolled_visitors(visitors, self.extractor), threads=0)
        url, stop = start_camera(visitors)
        source, summary = Camera(url), Summary(timed=True)
        with ExitStack() as cleanup:
            cleanup.callback(stop)
            screen = open_screen(recognizer, None, None, False, cleanup)
            watch = Watch(screen, VISITS * VISIT_FRAMES / RATE, bool(os.environ.get("DISPLAY")))
            background = BackgroundRecognizer(recognizer, source)
            cleanup.callback(source.close)
            cleanup.callback(background.close)
            run_camera(source, background, Outputs(None, None, source, cleanup), summary, screen)
        figures = watch.figures()
        middle, most = np.percentile(summary.latencies, (50, 95)) * 1000
        figures |= {"latency_ms_p50": middle, "latency_ms_p95": most}
        figures |= {"recognized_per_second": len(summary.latencies) / watch.seconds}
        print(
            f"camera ({figures['window']}): {figures['shown_per_second']:.1f} shown a second, "
            f"{figures['recognized_per_second']:.1f} recognized; the window waits {figures['waits']:.1%} of the time; "
            f"latency {middle:.0f} ms, p95 {most:.0f} ms; newcomers named within {figures['named_s_p50']:.2f} s, "
            f"p95 {figures['named_s_p95']:.2f} s ({figures['named']} of {figures['newcomers']}, "
            f"{figures['pictures_with_a_wrong_name']} pictures with another name)"
        )
        return figures


def naive_rate(frames, extractor, head, features) -> float:
    """Frames a second of the original recipe's loop: one `predict` a face, and one a person and face.

    It finds faces as we do, so that the difference is the loop's alone, and draws and shows nothing.
    """
    import numpy as np

    from utils.faces.alignment import face_chip
    from utils.faces.detection import load_detector
    from utils.media.images import resize_chip

    detect = load_detector()
    people = [features.matrix[features.labels == person] for person in range(len(features.names))]

    def recognize(image) -> list[list[bool]]:
        accepted = []
        for face in detect(image):
            chip = resize_chip(face_chip(image, face), extractor.size)[None]
            probe = extractor.model.predict(chip, verbose=0)
            results = [
                head.model.predict([np.repeat(probe, len(rows), axis=0), rows], verbose=0)[:, 0] for rows in people
            ]
            accepted.append([len(r[r > 0.8]) > int(len(r) * 0.85) for r in results])
        return accepted

    recognize(frames[0])  # compiles
    start = time.perf_counter()
    for frame in frames:
        recognize(frame)
    return len(frames) / (time.perf_counter() - start)


def enrolled(count: int, features, many):
    """A FeatureSet of so many people with PHOTOS photos each: those of `features`, then of `many`, for None drawn."""
    import numpy as np
    from visits import PHOTOS

    from utils.features.feature_files import FeatureSet

    matrix = photos_of(features, range(len(features.names)))
    more = max(0, count - len(features.names))
    if many:
        if len(many.names) < more:
            raise InputError(f"--others has {counted(len(many.names), 'person', 'people')}: {more} are needed")
        added = photos_of(many, np.argsort(-np.bincount(many.labels), kind="stable")[:more])
    else:
        rng = np.random.default_rng(0)
        spread = features.matrix.std(axis=0)
        people = features.matrix.mean(axis=0) + spread * rng.normal(size=(more, 1, len(spread)))
        added = people + 0.4 * spread * rng.normal(size=(more, PHOTOS, len(spread)))
    matrix = np.concatenate([matrix, added]).astype(np.float32)[:count].reshape(-1, features.matrix.shape[1])
    names = [*features.names, *(f"person {number}" for number in range(more))][:count]
    return FeatureSet(matrix, np.repeat(np.arange(count), PHOTOS), names, features.extractor)


def photos_of(features, people):
    """Features (p, PHOTOS, D) of some people, repeated where there are fewer photos."""
    import numpy as np
    from visits import PHOTOS

    rows = [np.resize(np.flatnonzero(features.labels == person), PHOTOS) for person in people]
    return features.matrix[np.array(rows, int).reshape(-1, PHOTOS)]


if __name__ == "__main__":
    sys.exit(main())
