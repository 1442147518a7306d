"""How fast live recognition is, beside the naive loop that it replaces, and how it grows.

  python benchmarks/live.py --features features --model models/dlib --classification models/similarity \\
      --video_path party.mp4 --output live.json

On the video: frames a second of test.py's loop with an annotated video written, and of the original
recipe's (one `predict` a face, one `predict` a person and face, one frame after the other) on every
tenth frame. Before a camera, 640×480 drawn people at 30 frames a second from another process: what the
window shows, how long it waits, and how soon a newcomer is named; on a real window where there is a
screen. Then with more people enrolled (drawn numbers, or people of --others), in turn with those who
are, and more faces in view.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils.cli import bounded, clean_exit, file_path, script_parser

PARTS = ("video", "camera", "people", "faces")
PEOPLE, FACES = (1, 10, 100, 1000), (1, 2, 4, 8)
PHOTOS = 5  # of each enrolled person
NAIVE_EVERY = 10  # frames of the video that the naive loop is given one of
RATE = 30.0  # frames a second of the camera
VISITS = 12  # people who come before the camera, one after the other
VISIT = 60  # frames that each stays
ROUNDS = 3  # of each growth measurement, of which the middle one counts
BITS, BLOCK = 16, 8  # a frame's number is painted as black and white blocks of so many pixels


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("-f", "--features", required=True, type=file_path, help="folder that extract_features.py wrote")
    parser.add_argument("-m", "--model", required=True, type=file_path, help="extractor of the features")
    parser.add_argument("-c", "--classification", required=True, type=file_path, help="head that train.py saved")
    parser.add_argument("-v", "--video_path", required=True, type=file_path, help="a video")
    parser.add_argument("--others", type=file_path, help="features of many people, to enrol more of")
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
        figures["camera"] = bench.camera()
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
        from utils.extractor import load_extractor
        from utils.features import load_features
        from utils.head import load_head

        self.features, self.head, self.extractor = load_features(features), load_head(head), load_extractor(model)
        self.width = width

    def recognizer(self, features=None, threads: int = 1):
        from utils.gallery import Gallery
        from utils.recognizer import load_recognizer

        features = features or self.features
        threshold = self.head.threshold_for(len(features.names))
        gallery = Gallery(features, self.head, threshold, self.head.min_votes)
        recognizer = load_recognizer(gallery, self.extractor, "retinaface", 20, True, self.width, threads)
        recognizer.warm_up()
        return recognizer

    def run(self, frames, recognizer, output: Path) -> float:
        """Frames a second of test.py's loop over frames in memory or a video, with an annotated video written."""
        from utils.live import run_video
        from utils.records import Outputs, Summary

        summary = Summary(timed=True)
        with ExitStack() as cleanup:
            outputs = Outputs(output, output.with_suffix(".jsonl"), frames, cleanup)
            start = time.perf_counter()
            run_video(frames, recognizer, outputs, summary, None)
        return summary.frames / (time.perf_counter() - start)

    def video(self, path: Path) -> dict:
        from utils.video import VideoSource

        with tempfile.TemporaryDirectory() as folder:
            ours = self.run(VideoSource(path), self.recognizer(), Path(folder, "ours.mp4"))
            frames = [frame.image for frame in VideoSource(path).frames()][::NAIVE_EVERY]
            naive = naive_rate(frames, self.extractor, self.head, self.features)
        print(f"video: {ours:.1f} frames/s, naive loop {naive:.2f}: {ours / naive:.0f} times")
        return {"frames_per_second": ours, "naive_frames_per_second": naive, "times": ours / naive}

    def people(self, path: Path, others: Path | None) -> dict:
        """The video with PEOPLE enrolled, and with as many as there are features of: by turns, round after round."""
        import numpy as np

        from utils.video import VideoSource

        own = len(self.features.names)
        counts = sorted({*PEOPLE, own})
        recognizers = {count: self.recognizer(enrolled(count, self.features, others)) for count in counts}
        rates = {count: [] for count in counts}
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(ROUNDS):
                for count, recognizer in recognizers.items():
                    recognizer.tracks.cut()
                    rates[count].append(self.run(VideoSource(path), recognizer, Path(folder, "out.mp4")))
        for count in counts:
            # Each round's by itself: whatever else the machine does then, it does to both.
            share = np.median(np.divide(rates[count], rates[own]))
            print(f"{count} people × {PHOTOS} photos: {np.median(rates[count]):.1f} frames/s, {share:.2f} of {own}'s")
        return {count: {"frames_per_second": float(np.median(rates[count]))} for count in counts}

    def faces(self, count: int) -> dict:
        """Drawn people, so many at a time."""
        import numpy as np

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

    def camera(self) -> dict:
        """A camera before which enrolled people and strangers come and go, in real time."""
        import numpy as np

        from utils.cameras import Camera
        from utils.live import Screen, open_screen, run_camera
        from utils.recognizer import BackgroundRecognizer
        from utils.records import Outputs, Summary

        url, stop = start_camera_process()
        recognizer = self.recognizer(self.drawn_people(), threads=0)
        source, summary = Camera(url), Summary(timed=True)
        with ExitStack() as cleanup:
            cleanup.callback(stop)
            screen: Screen = open_screen(recognizer, None, None, False, cleanup)
            watch = Watch(screen, VISITS * VISIT / RATE, bool(os.environ.get("DISPLAY")))
            background = BackgroundRecognizer(recognizer, source)
            cleanup.callback(source.close)
            cleanup.callback(background.close)
            run_camera(source, background, Outputs(None, None, source, cleanup), summary, screen)
        figures = watch.figures()
        middle, most = np.percentile(summary.latencies, (50, 95)) * 1000
        figures |= {"latency_ms_p50": middle, "latency_ms_p95": most}
        figures |= {"recognised_per_second": len(summary.latencies) / watch.seconds}
        print(
            f"camera ({figures['window']}): {figures['shown_per_second']:.1f} shown a second, "
            f"{figures['recognised_per_second']:.1f} recognised; the window waits {figures['waits']:.1%} of the time; "
            f"latency {middle:.0f} ms, p95 {most:.0f} ms; newcomers named within {figures['named_s_p50']:.2f} s, "
            f"p95 {figures['named_s_p95']:.2f} s ({figures['named']} of {figures['newcomers']})"
        )
        return figures

    def drawn_people(self):
        """The people of `Visits` who are enrolled: PHOTOS selfies each, through the same detector and extractor."""
        import numpy as np

        from utils.drawn_people import draw_selfie
        from utils.faces import face_chip, load_detector
        from utils.features import FeatureSet

        detect, rng, chips = load_detector(), np.random.default_rng(0), []
        for identity in visitors():
            for _ in range(PHOTOS):
                selfie = draw_selfie(identity, rng)
                chips.append(face_chip(selfie, detect(selfie)[0]))
        labels = np.repeat(np.arange(VISITS), PHOTOS)
        names = [f"visitor {number}" for number in range(VISITS)]
        return FeatureSet(self.extractor.embed(chips), labels, names, self.extractor.fingerprint)


def naive_rate(frames, extractor, head, features) -> float:
    """Frames a second of the original recipe's loop: one `predict` a face, and one a person and face.

    It finds faces as we do, so that the difference is the loop's alone, and draws and shows nothing.
    """
    import numpy as np

    from utils.faces import face_chip, load_detector
    from utils.images import resize_chip

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


def enrolled(count: int, features, others: Path | None):
    """A FeatureSet of so many people with PHOTOS photos each: those of `features` first, then of a folder, or drawn."""
    import numpy as np

    from utils.features import FeatureSet, load_features

    matrix = photos_of(features, range(len(features.names)))
    more = max(0, count - len(features.names))
    if others:
        many = load_features(others)
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

    rows = [np.resize(np.flatnonzero(features.labels == person), PHOTOS) for person in people]
    return features.matrix[np.array(rows, int).reshape(-1, PHOTOS)]


class Crowd:
    """A film of drawn people side by side who sway, as a source of frames. rate: frames a second."""

    live, rate = False, RATE

    def __init__(self, count: int, length: int):
        import cv2
        import numpy as np

        from utils.drawn_identity import draw_identity
        from utils.drawn_people import draw_selfie

        rng = np.random.default_rng(count)
        columns = 1 if count == 1 else 2 if count <= 4 else 4
        rows = -(-count // columns)
        tile = (640 // columns, 480 // rows)
        self.selfies = [
            cv2.resize(draw_selfie(draw_identity(700 + n), rng), tile, interpolation=cv2.INTER_AREA)
            for n in range(count)
        ]
        self.columns, self.length = columns, length

    def frames(self):
        import cv2
        import numpy as np

        from utils.video import Frame

        for index in range(self.length):
            image = np.full((480, 640, 3), 200, np.uint8)
            for number, selfie in enumerate(self.selfies):
                height, width = selfie.shape[:2]
                row, column = divmod(number, self.columns)
                phase = index / 12 + number
                shift = np.array([[1, 0, 0.04 * width * np.sin(phase)], [0, 1, 0.03 * height * np.cos(phase)]])
                moved = cv2.warpAffine(selfie, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
                image[row * height : (row + 1) * height, column * width : (column + 1) * width] = moved
            yield Frame(image, index / RATE, index=index)


def visitors():
    """Who comes before the camera, one after the other."""
    from utils.drawn_identity import draw_identity

    return [draw_identity(900 + number) for number in range(VISITS)]


def paint_number(image, number: int) -> None:
    """Write a frame's number into its upper left corner so that it survives a camera's compression."""
    for bit in range(BITS):
        image[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 * (number >> bit & 1)


def read_number(image) -> int:
    return sum(int(image[2 : BLOCK - 2, b * BLOCK + 2 : (b + 1) * BLOCK - 2].mean() > 127) << b for b in range(BITS))


def start_camera_process():
    """Film the visitors in another process; returns the camera's address and how to stop it.

    A visit is a cut: the face is whole in its first frame, so that is when the newcomer appears.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_camera_process, args=(theirs,), daemon=True)
    process.start()
    return ours.recv(), process.terminate


def run_camera_process(pipe) -> None:
    import numpy as np

    from utils.drawn_camera import MjpegCamera
    from utils.drawn_scenes import webcam_clip

    pictures = []
    for number, identity in enumerate(visitors()):
        # Of 140 frames the person is coming in the first 20 and going from the 80th on.
        clip = [frame for frame, _ in webcam_clip({"x": identity}, [], number, 140)]
        pictures += [np.ascontiguousarray(frame) for frame in clip[20 : 20 + VISIT]]
    for number, picture in enumerate(pictures):
        paint_number(picture, number)
    camera = MjpegCamera(pictures, RATE)
    camera.start()
    pipe.send(camera.url)
    time.sleep(3600)


class Watch:
    """Stands between the loop and its window and notes when what is shown; ends the run after some seconds.

    real: whether there is a screen; without one, pictures are drawn and then dropped.
    """

    def __init__(self, screen, seconds: float, real: bool):
        self.screen, self.seconds, self.real = screen, seconds, real
        self.times: list[float] = []
        self.appeared: dict[int, float] = {}  # visit → when its first frame was shown
        self.named: dict[int, float] = {}
        self.put = screen.put
        screen.put = self._put
        if not real:
            screen.window = self

    def _put(self, frame, faces, *rest) -> None:
        if self.real:
            self.put(frame, faces, *rest)
        else:
            self.screen.faces, self.screen.picture = faces, self.screen.desk.draw(frame.image, faces, None, None, False)
        now = time.perf_counter()
        self.times.append(now)
        visit = read_number(frame.image) // VISIT
        self.appeared.setdefault(visit, now)
        if any(face.name == f"visitor {visit}" for face in faces):
            self.named.setdefault(visit, now)
        self.screen.desk.quit = now - self.times[0] > self.seconds

    def press(self, seconds: float) -> str:
        time.sleep(max(0.001, seconds))
        return ""

    def figures(self) -> dict:
        import numpy as np

        gaps = np.diff(self.times)
        # The first visit was on when we came, and the last may have been cut short.
        visits = list(self.appeared)[1:-1]
        waited = [self.named[v] - self.appeared[v] for v in visits if v in self.named]
        return {
            "window": "window on a screen" if self.real else "no screen",
            "shown_per_second": len(gaps) / gaps.sum(),
            "waits": float(np.clip(gaps - 1.5 / RATE, 0, None).sum() / gaps.sum()),
            "newcomers": len(visits),
            "named": len(waited),
            "named_s_p50": float(np.percentile(waited, 50)) if waited else float("nan"),
            "named_s_p95": float(np.percentile(waited, 95)) if waited else float("nan"),
        }


if __name__ == "__main__":
    sys.exit(main())
