"""Measure the speed of extraction: the networks alone on each engine, extract_features.py, dlib, and the CPU's peak.

  python benchmarks/extraction.py --faces_path faces --output extraction.json
  python benchmarks/extraction.py --faces_path faces --engine openvino --resnet50 0
  python benchmarks/extraction.py --faces_path faces --growth 100 1000 10000

The networks, dlib and the peak run in turn, and medians count, so their ratios hold on a noisy machine.
Whole processes run once each, and the time of a run on a single batch is subtracted. faces/ holds a
folder of face crops per person; without --faces_path, faces are drawn. GFLOP/s counts the multiplications
and additions of convolutions and dense layers. The peak is that of a large matrix product.
"""

import argparse
import importlib.util
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import measure  # puts the project's root on the import path

from utils.cli import ENGINES, PRECISIONS, InputError, add_switch, bounded, clean_exit, file_path, script_parser

if TYPE_CHECKING:
    import keras
    import numpy as np

BATCH_SIZE = 64
SINGLE_FACES = 8  # faces that dlib is timed on, one call each
COLUMNS = ["what", "faces/s", "CPU-ms a face", "GFLOP/s", "of the peak", "× dlib"]


class Measured(NamedTuple):
    """The cost of embedding some faces."""

    faces: int
    gigaflops: float  # per face
    cost: measure.Cost


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-p", "--faces_path", type=file_path, help="folder with a folder per person (default: draw faces)"
    )
    parser.add_argument(
        "--faces", type=bounded(int, 2 * BATCH_SIZE), default=5000, help="faces to run dlib's network and SFace on"
    )
    parser.add_argument(
        "--resnet_faces", type=bounded(int, 2 * BATCH_SIZE), default=640, help="faces to run ResNet50 on"
    )
    parser.add_argument("--repeats", type=bounded(int, 1), default=5, help="rounds to take the median of")
    parser.add_argument(
        "--growth",
        type=bounded(int, BATCH_SIZE + 1),
        nargs="*",
        default=[],
        help="measure time and memory for these numbers of faces instead, ten per person",
    )
    parser.add_argument(
        "--engine", choices=ENGINES[1:], nargs="+", default=list(ENGINES[1:]), help="engines to measure side by side"
    )
    add_switch(parser, "--resnet50", default=1, help="1: measure ResNet50 too, which takes most of the time")
    parser.add_argument("-o", "--output", type=file_path, help="JSON file to write")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    from utils.keras_models import import_keras

    if import_keras().backend.backend() != "tensorflow":
        raise InputError("the peak is measured with TensorFlow: run this with KERAS_BACKEND=tensorflow")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        images = collect_images(args.faces_path, scratch)
        models = {name: build_model(scratch, name) for name in (["dlib"] if args.growth else ["dlib", "sface"])}
        if args.growth:
            result = {"growth": measure_growth(images, models["dlib"], args.growth, scratch)}
        else:
            if args.resnet50:
                models["resnet50"] = build_model(scratch, "resnet50")
            result = {"table": measure_networks(images, models, args.engine, args.repeats)}
            counts = {"dlib": args.faces, "sface": args.faces, "resnet50": args.resnet_faces}
            result["scripts"] = measure_scripts(images, models, args.engine, counts, result["table"], scratch)
    measure.write_result(args.output, result)
    return 0


def collect_images(faces: Path | None, scratch: Path) -> list[Path]:
    """The image files of a faces folder, or of 200 drawn faces without one. Raises InputError for too few."""
    from utils.media.images import list_images, list_people, write_image

    if faces:
        images = [image for person in list_people(faces) for image in list_images(person)]
    else:
        import numpy as np

        from utils.faces.alignment import face_chip
        from utils.faces.detection import load_detector
        from utils.synthetic.identity import sample_identity
        from utils.synthetic.portrait import draw_selfie

        detect, rng = load_detector(), np.random.default_rng(0)
        photos = [draw_selfie(sample_identity(number % 20), rng) for number in range(200)]
        images = [scratch / "drawn" / f"{number}.png" for number in range(len(photos))]
        for path, photo in zip(images, photos, strict=True):
            write_image(path, face_chip(photo, detect(photo)[0]))
    if len(images) < 2 * BATCH_SIZE:
        raise InputError(f"{len(images)} images are too few to time: at least {2 * BATCH_SIZE} are needed")
    return images


def build_model(scratch: Path, backbone: str) -> Path:
    """Save an extractor. ResNet50 gets random weights, which take as long as trained ones."""
    weights = ["--weights", "none"] if backbone == "resnet50" else []
    measure.run_process("network.py", "-o", scratch, "-m", backbone, "-p", 0, "--backbone", backbone, *weights)
    return scratch / f"{backbone}.keras"


def network_gigaflops(model: "keras.Model") -> float:
    """10⁹ floating-point operations per face: two for each weight at each position where it is used."""
    import numpy as np
    from keras import layers

    total = 0
    for layer in model.layers:
        if hasattr(layer, "layers"):
            total += network_gigaflops(layer) * 1e9
        elif isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense):
            places = 1 if isinstance(layer, layers.Dense) else np.prod(layer.output.shape[1:-1])
            total += 2 * places * np.prod(layer.kernel.shape)
    return float(total) / 1e9


def measure_networks(images: list[Path], models: dict[str, Path], engines: list[str], repeats: int) -> list[dict]:
    """Time the networks in both precisions, dlib's own descriptor and the peak. Prints and returns the table."""
    from utils.faces.alignment import crop_square
    from utils.features.extractor import load_extractor
    from utils.features.keras_extractor import load_extractor_model
    from utils.media.images import read_image, resize_chip

    photos = [read_image(path) for path in images[:BATCH_SIZE]]
    functions, sizes = {}, {}  # sizes: (faces, GFLOP per face)
    for precision in PRECISIONS:
        functions[f"peak {precision}"] = measure.matrix_product(precision)
    for name, path in models.items():
        gigaflops = network_gigaflops(load_extractor_model(path)[0])
        for engine, precision in itertools.product(engines, PRECISIONS):
            extractor = load_extractor(path, precision, engine=engine, parts=os.cpu_count() or 1)
            inputs = [extractor.cut(photo) for photo in photos[: extractor.batch_size]]
            row = f"{name} {engine} {precision}"
            functions[row] = lambda extractor=extractor, inputs=inputs: extractor.embed_inputs(inputs)
            sizes[row] = len(inputs), gigaflops
    singles = [resize_chip(crop_square(photo), 150) for photo in photos[:SINGLE_FACES]]
    references = {"dlib itself": dlib_descriptors}
    if importlib.util.find_spec("face_recognition"):
        references["face_recognition"] = face_recognition_encodings
    for name, reference in references.items():
        functions[name] = reference(singles)
        sizes[name] = len(singles), sizes[f"dlib {engines[0]} float32"][1]
    costs = measure.in_turn(functions, repeats)
    peaks = {p: 2 * 4096**3 / costs[f"peak {p}"].wall / 1e9 for p in PRECISIONS}
    table = rate_rows({name: Measured(*size, costs[name]) for name, size in sizes.items()}, peaks["float32"])
    for precision, peak in peaks.items():
        row = [f"peak {precision}", "", "", peak, peak / peaks["float32"], ""]
        table.append(dict(zip(COLUMNS, row, strict=True)))
    measure.print_table(COLUMNS, [list(row.values()) for row in table])
    return table


def rate_rows(measured: dict[str, Measured], peak: float) -> list[dict]:
    """One row of COLUMNS per measurement. One of them must be "dlib itself". peak: GFLOP/s."""
    dlib = measured["dlib itself"]
    dlib_rate = dlib.faces / dlib.cost.wall
    rows = []
    for name, (faces, gigaflops, cost) in measured.items():
        rate = faces / cost.wall
        row = [name, rate, 1000 * cost.cpu / faces, rate * gigaflops, rate * gigaflops / peak, rate / dlib_rate]
        rows.append(dict(zip(COLUMNS, row, strict=True)))
    return rows


def dlib_descriptors(chips: "list[np.ndarray]") -> Callable[[], list]:
    """dlib's own network, called as face_recognition and DeepFace do: one face at a time."""
    import dlib

    from utils.networks.dlib_network import find_dlib_weights

    network = dlib.face_recognition_model_v1(str(find_dlib_weights()))
    return lambda: [network.compute_face_descriptor(chip) for chip in chips]


def face_recognition_encodings(chips: "list[np.ndarray]") -> Callable[[], list]:
    """face_recognition's encodings of faces with a known box: landmarks, chip and descriptor."""
    import face_recognition

    box = [(30, 120, 120, 30)]  # top, right, bottom, left
    return lambda: [face_recognition.face_encodings(chip, box) for chip in chips]


def measure_scripts(
    images: list[Path],
    models: dict[str, Path],
    engines: list[str],
    counts: dict[str, int],
    table: list[dict],
    scratch: Path,
) -> list[dict]:
    """Time extract_features.py as a whole process, without its start-up. Prints and returns the table.

    Start-up is a run on one batch: imports, loading, compiling and that batch. It is subtracted from a
    run on all faces. models and counts: by backbone. table: from `measure_networks`.
    """
    rates = {row["what"]: row for row in table}
    measured = {"dlib itself": Measured(1, 0, measure.Cost(1 / rates["dlib itself"]["faces/s"], 0))}
    extras = {}
    aligned = [("dlib", engine, "float32", ("--align", 1)) for engine in engines]
    for backbone, engine, precision, more in [*itertools.product(models, engines, PRECISIONS, [()]), *aligned]:
        words = ("--engine", engine, "--precision", precision, *more)
        count = counts[backbone]
        start, whole = (
            run_extraction(link_faces(images, size, scratch / f"faces{size}"), models[backbone], scratch, words)
            for size in (BATCH_SIZE, count)
        )
        network = rates[f"{backbone} {engine} {precision}"]
        cost = measure.Cost(whole.wall - start.wall, whole.cpu - start.cpu)
        label = " ".join(["extract_features.py", backbone, engine, precision, *map(str, more), f"{count} faces"])
        measured[label] = Measured(count - BATCH_SIZE, network["GFLOP/s"] / network["faces/s"], cost)
        of_network = (count - BATCH_SIZE) / cost.wall / network["faces/s"]
        extras[label] = {"of the network": of_network, "start-up s": start.wall, "peak MB": whole.peak}
    rows = rate_rows(measured, rates["peak float32"]["GFLOP/s"])
    rows = [row | extras[row["what"]] for row in rows if row["what"] in extras]
    measure.print_table(list(rows[0]), [list(row.values()) for row in rows])
    return rows


def link_faces(images: list[Path], count: int, folder: Path, per_person: int = 10) -> Path:
    """Make a faces folder of links to `count` images, which repeat if there are fewer. Returns the folder."""
    for number in range(0 if folder.exists() else count):
        image = images[number % len(images)]
        link = folder / f"person {number // per_person:05}" / f"{number}{image.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(image.resolve())
    return folder


def run_extraction(faces: Path, model: Path, scratch: Path, words: tuple = (), keep: bool = False) -> measure.Process:
    """Run extract_features.py with extra arguments. keep: whether the features of the last run stay."""
    features = scratch / "features"
    if not keep:
        shutil.rmtree(features, ignore_errors=True)
    return measure.run_process("extract_features.py", "-p", faces, "-m", model, "-f", features, *words)


def measure_growth(images: list[Path], model: Path, sizes: list[int], scratch: Path) -> list[dict]:
    """Time and memory by number of faces, ten per person, and the time of a second, unchanged run."""
    columns = ["faces", "people", "start-up s", "ms a face", "peak MB", "unchanged run s", "of it start-up"]
    start = run_extraction(link_faces(images, BATCH_SIZE, scratch / "start"), model, scratch)
    idle = run_extraction(scratch / "start", model, scratch, keep=True)
    rows = []
    for size in sizes:
        faces = link_faces(images, size, scratch / f"growth{size}")
        first = run_extraction(faces, model, scratch)
        again = run_extraction(faces, model, scratch, keep=True)
        ms = 1000 * (first.wall - start.wall) / max(1, size - BATCH_SIZE)
        values = [str(size), str(-(-size // 10)), start.wall, ms, first.peak, again.wall, idle.wall]
        rows.append(dict(zip(columns, values, strict=True)))
    measure.print_table(columns, [list(row.values()) for row in rows])
    return rows


if __name__ == "__main__":
    sys.exit(main())
