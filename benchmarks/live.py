"""Measure the speed of live recognition, against the naive loop of the original recipe, and how it scales.

  python benchmarks/live.py --features features --model models/dlib --classification models/similarity \\
      --video_path party.mp4 --others others_features --visitors others --output live.json

video: frames per second of test.py's loop with an annotated video written, and of the original recipe's
loop (one `predict` per face, one `predict` per person and face, one frame after another) on every tenth
frame. camera: another process films people at 640×480 and 30 frames per second, drawn ones or photos of
--visitors; measures what the window shows, how long it waits, and how soon a newcomer is named. The
window is real if there is a screen. people: the video with more people enrolled, random features or those
of --others, the counts taking turns. faces: more faces in view, drawn before. detector: the time that RetinaFace
takes for a frame of 640×480, alone.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils.cli import ENGINES, PRECISIONS, InputError, bounded, clean_exit, counted, file_path, script_parser

if TYPE_CHECKING:
    import numpy as np
    from visits import Crowd

    from utils.features.extractor import Extractor
    from utils.features.feature_files import FeatureSet
    from utils.media.video import VideoSource
    from utils.recognition.recognizer import Recognizer

PARTS = ("video", "camera", "people", "faces", "detector")
PEOPLE, FACES = (1, 10, 100, 1000), (1, 2, 4, 8)
NAIVE_EVERY = 10  # the naive loop gets every tenth frame of the video
ROUNDS = 3  # repetitions when people or faces are added; the median counts
SEARCHES = 200  # of one frame, the median counts


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("-f", "--features", required=True, type=file_path, help="folder that extract_features.py wrote")
    parser.add_argument("-m", "--model", required=True, type=file_path, help="extractor that made the features")
    parser.add_argument("-c", "--classification", required=True, type=file_path, help="head that train.py saved")
    parser.add_argument("-v", "--video_path", required=True, type=file_path, help="a video")
    parser.add_argument("--others", type=file_path, help="features folder of many people, to enroll more of them")
    parser.add_argument(
        "--visitors",
        type=file_path,
        help="folder of person folders with crops as for --align 1; the camera films some of these people instead of "
        "drawn ones",
    )
    parser.add_argument(
        "--detect_width",
        type=bounded(int, 64),
        default=640,
        help="pixels; wider frames are searched in a copy of this width",
    )
    parser.add_argument(
        "--engine", choices=ENGINES[1:], nargs="+", default=[ENGINES[1]], help="engines to measure side by side"
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=PRECISIONS[0], help="of the extractor and RetinaFace"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure")
    parser.add_argument("-o", "--output", type=file_path, help="JSON file for the figures")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    from utils.threads import limit_blas

    limit_blas()  # as test.py does
    benches = {
        engine: Bench(args.features, args.model, args.classification, args.detect_width, engine, args.precision)
        for engine in args.engine
    }
    parts: dict[str, Callable[[Bench], dict]] = {
        "video": lambda bench: bench.video(args.video_path),
        "camera": lambda bench: bench.camera(args.visitors),
        "people": lambda bench: bench.people(args.video_path, args.others),
        "faces": lambda bench: {n: bench.faces(n) for n in FACES},
        "detector": lambda bench: bench.detector(),
    }
    figures: dict = {"cores": os.cpu_count(), "detect_width": args.detect_width, "precision": args.precision}
    for part in args.parts:
        for engine, bench in benches.items():
            print(f"{engine}: ", end="")
            figures.setdefault(engine, {})[part] = parts[part](bench)
    if args.output:
        from utils.files import write_json

        write_json(args.output, figures)
    return 0


class Bench:
    """Loads the networks once. Each measurement is a method that prints a line and returns its figures."""

    def __init__(self, features: Path, model: Path, head: Path, width: int, engine: str, precision: str):
        from utils.features.extractor import load_extractor
        from utils.features.feature_files import load_features
        from utils.heads.head import head_path, load_head
        from utils.keras_models import find_model

        self.features, self.head = load_features(features), load_head(head)
        self.extractor, self.precision = load_extractor(model, precision, engine=engine), precision
        self.width, self.model_file, self.head_file = width, find_model(model), head_path(head)

    def recognizer(self, features: "FeatureSet | None" = None, threads: int = 1) -> "Recognizer":
        """A recognizer of these people, by default of those in --features, ready to run."""
        from utils.recognition.gallery import Gallery
        from utils.recognition.recognizer import load_recognizer

        gallery = Gallery(features or self.features, self.head, None, self.head.min_votes)
        recognizer = load_recognizer(
            gallery, self.extractor, "retinaface", 20, True, self.width, threads, self.precision
        )
        recognizer.warm_up()
        return recognizer

    def run(self, source: "VideoSource | Crowd", recognizer: "Recognizer", output: Path) -> float:
        """Frames per second of test.py's loop over a source of frames, with an annotated video written."""
        from utils.live.loops import run_video
        from utils.live.outputs import Outputs
        from utils.live.summaries import Summary

        summary = Summary()
        with ExitStack() as cleanup:
            outputs = Outputs(output, output.with_suffix(".jsonl"), source, cleanup)
            start = time.perf_counter()
            run_video(source, recognizer, outputs, summary, None)
        return summary.frames / (time.perf_counter() - start)

    def run_file(self, path: Path, recognizer: "Recognizer", output: Path) -> float:
        """Frames per second over a video file."""
        from utils.media.video import VideoSource

        with closing(VideoSource(path)) as video:
            return self.run(video, recognizer, output)

    def video(self, path: Path) -> dict:
        """The video in test.py's loop and in the naive one."""
        from utils.media.video import VideoSource

        with tempfile.TemporaryDirectory() as folder, closing(VideoSource(path)) as video:
            ours = self.run_file(path, self.recognizer(), Path(folder, "ours.mp4"))
            frames = [frame.image for frame in video.frames()][::NAIVE_EVERY]
            naive = naive_rate(frames, self.extractor, self.model_file, self.head_file, self.features)
        print(f"video: {ours:.1f} frames/s, naive loop {naive:.2f}: {ours / naive:.0f} times")
        return {"frames_per_second": ours, "naive_frames_per_second": naive, "times": ours / naive}

    def people(self, path: Path, others: Path | None) -> dict:
        """The video with PEOPLE enrolled, and with all of --features. The counts take turns, round after round."""
        import numpy as np
        from visits import PHOTOS

        from utils.features.feature_files import load_features

        many = load_features(others) if others else None
        known = len(self.features.names)
        counts = sorted({*PEOPLE, known})
        recognizers = {count: self.recognizer(enrolled(count, self.features, many)) for count in counts}
        rates = {count: [] for count in counts}
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(ROUNDS):
                for count, recognizer in recognizers.items():
                    recognizer.tracks.cut()
                    rates[count].append(self.run_file(path, recognizer, Path(folder, "out.mp4")))
        for count in counts:
            # Compared round by round, since other load on the machine slows both alike.
            share = np.median(np.divide(rates[count], rates[known]))
            print(f"{count} people × {PHOTOS} photos: {np.median(rates[count]):.1f} frames/s, {share:.2f} of {known}'s")
        return {count: {"frames_per_second": float(np.median(rates[count]))} for count in counts}

    def faces(self, count: int) -> dict:
        """A video of drawn people, so many at a time."""
        import numpy as np
        from visits import Crowd

        crowd = Crowd(count, 120)
        recognizer = self.recognizer()
        with tempfile.TemporaryDirectory() as folder:
            rates = []
            for _ in range(ROUNDS):
                recognizer.tracks.cut()
                rates.append(self.run(crowd, recognizer, Path(folder, "out.mp4")))
        found = np.median([len(recognizer.recognize(frame).faces) for frame in list(crowd.frames())[:10]])
        pictures = [frame.image for frame in crowd.frames()][:5]
        naive = naive_rate(pictures, self.extractor, self.model_file, self.head_file, self.features)
        rate = float(np.median(rates))
        print(f"{count} faces in view ({found:.0f} found): {rate:.1f} frames/s, naive loop {naive:.2f}")
        return {"frames_per_second": rate, "naive_frames_per_second": naive, "found": float(found)}

    def detector(self) -> dict:
        """RetinaFace on one frame with four faces, on all cores and on one."""
        import numpy as np
        from visits import Crowd

        from utils.faces.retinaface import RetinaFace, detect_retinaface, load_retinaface

        image, figures = Crowd(4, 1).images[0], {}
        for label, threads in (("on all cores", 0), ("on one core", 1)):
            # Its own: the one that all parts share may have given its networks to other sizes.
            network = RetinaFace(load_retinaface(threads, self.precision).load)
            while None in network.pick(image.shape[:2]).inputs[0]:  # the one for this size is still loading
                time.sleep(0.01)
            seconds = []
            for _ in range(SEARCHES):
                start = time.perf_counter()
                detect_retinaface(image, 0.5, network)
                seconds.append(time.perf_counter() - start)
            figures[label] = float(np.median(seconds)) * 1000
        print("RetinaFace, 640×480: " + ", ".join(f"{value:.1f} ms {label}" for label, value in figures.items()))
        return figures

    def camera(self, visitors: Path | None) -> dict:
        """Enrolled people come and go before a camera, in real time."""
        import numpy as np
        from visits import RATE, VISIT_FRAMES, VISITS, Watch, enrolled_visitors, start_camera

        from utils.display.viewers import Screen
        from utils.live.controls import LiveControls
        from utils.live.loops import run_camera
        from utils.live.outputs import Outputs
        from utils.live.summaries import Summary
        from utils.media.camera import Camera
        from utils.recognition.recognizer import BackgroundRecognizer

        recognizer = self.recognizer(enrolled_visitors(visitors, self.extractor), threads=0)
        url, stop = start_camera(visitors)
        source, summary = Camera(url), Summary()
        with ExitStack() as cleanup:
            cleanup.callback(stop)
            screen = Screen(LiveControls(), cleanup)
            watch = Watch(screen, VISITS * VISIT_FRAMES / RATE, bool(os.environ.get("DISPLAY")))
            background = BackgroundRecognizer(recognizer, source)
            cleanup.callback(source.close)
            cleanup.callback(background.close)
            run_camera(source, background, Outputs(None, None, source, cleanup), summary, screen)
        figures = watch.figures()
        median, high = np.percentile(summary.latencies, (50, 95)) * 1000
        figures |= {"latency_ms_p50": median, "latency_ms_p95": high}
        figures |= {"recognized_per_second": len(summary.latencies) / watch.seconds}
        print(
            f"camera ({figures['window']}): {figures['shown_per_second']:.1f} frames/s shown, "
            f"{figures['recognized_per_second']:.1f} recognized; the window waits {figures['waits']:.1%} of the time; "
            f"latency {median:.0f} ms, p95 {high:.0f} ms; newcomers named within {figures['named_s_p50']:.2f} s, "
            f"p95 {figures['named_s_p95']:.2f} s ({figures['named']} of {figures['newcomers']}, "
            f"{figures['pictures_with_a_wrong_name']} pictures with a wrong name)"
        )
        return figures


def naive_rate(
    images: "list[np.ndarray]", extractor: "Extractor", model_file: Path, head_file: Path, features: "FeatureSet"
) -> float:
    """Images per second of the original recipe's loop: one `predict` per face, and one per person and face.

    It detects faces with the same detector, so only the loops differ, and it draws and shows nothing.
    """
    import numpy as np

    from utils.faces.alignment import face_chip
    from utils.faces.detection import load_detector
    from utils.features.keras_extractor import KerasNetwork, load_extractor_model
    from utils.keras_models import load_model

    detect, head = load_detector(), load_model(head_file)
    network = KerasNetwork(load_extractor_model(model_file)[0]).model
    people = [features.matrix[features.labels == person] for person in range(len(features.names))]

    def recognize(image: "np.ndarray") -> list[list[bool]]:
        accepted = []
        for face in detect(image):
            probe = network.predict(extractor.cut(face_chip(image, face))[None], verbose=0)
            results = [head.predict([np.repeat(probe, len(rows), axis=0), rows], verbose=0)[:, 0] for rows in people]
            accepted.append([len(r[r > 0.8]) > int(len(r) * 0.85) for r in results])
        return accepted

    recognize(images[0])  # compiles the networks
    start = time.perf_counter()
    for image in images:
        recognize(image)
    return len(images) / (time.perf_counter() - start)


def enrolled(count: int, features: "FeatureSet", many: "FeatureSet | None") -> "FeatureSet":
    """Features of so many people with PHOTOS photos each: of `features`, then of `many`, or random ones if None."""
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


def photos_of(features: "FeatureSet", people: Iterable[int]) -> "np.ndarray":
    """The features (p, PHOTOS, D) of some people, repeated if a person has fewer photos."""
    import numpy as np
    from visits import PHOTOS

    rows = [np.resize(np.flatnonzero(features.labels == person), PHOTOS) for person in people]
    return features.matrix[np.array(rows, int).reshape(-1, PHOTOS)]


if __name__ == "__main__":
    sys.exit(main())
