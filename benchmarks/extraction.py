"""How fast extraction is: the network alone, extract_features.py as a whole, dlib itself, and the processor's peak.

  python benchmarks/extraction.py --faces_path faces --output extraction.json
  python benchmarks/extraction.py --faces_path faces --growth 100 1000 10000

All in one run. The networks, dlib and the peak take turns, and medians count, so that their ratios hold
on a noisy machine; whole processes run once each, less one on a single batch. faces/ is a folder of
person folders with face crops; without --faces_path some are drawn. GFLOP/s counts the multiplications
and additions of convolutions and dense layers; the peak is a large matrix product's.
"""

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path

import measure  # it puts the project's root where the next lines find it

from utils.cli import InputError, add_switch, bounded, clean_exit, file_path, script_parser

BATCH_SIZE = 64
SINGLE_FACES = 8  # that dlib is timed on, one call each
COLUMNS = ["what", "faces/s", "CPU-ms a face", "GFLOP/s", "of the peak", "× dlib"]


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-p", "--faces_path", type=file_path, help="folder of person folders with faces (default: drawn)"
    )
    parser.add_argument(
        "--faces", type=bounded(int, 2 * BATCH_SIZE), default=5000, help="of them that dlib's extractor is run on"
    )
    parser.add_argument(
        "--resnet_faces", type=bounded(int, 2 * BATCH_SIZE), default=640, help="of them that ResNet50 is run on"
    )
    parser.add_argument("--repeats", type=bounded(int, 1), default=5, help="rounds whose median counts")
    parser.add_argument(
        "--growth",
        type=bounded(int, BATCH_SIZE + 1),
        nargs="*",
        default=[],
        help="numbers of faces, ten a person, to measure time and memory at, instead",
    )
    add_switch(parser, "--resnet50", default=1, help="1: ResNet50 as well, which takes most of the time")
    parser.add_argument("-o", "--output", type=file_path, help="JSON file to write")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    from utils.keras_models import import_keras

    if import_keras().backend.backend() != "tensorflow":
        raise InputError("the peak is that of TensorFlow's matrix product: run this with KERAS_BACKEND=tensorflow")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        images = collect_images(args.faces_path, scratch)
        models = {"dlib": build_model(scratch, "dlib")}
        if args.growth:
            result = {"growth": measure_growth(images, models["dlib"], args.growth, scratch)}
        else:
            if args.resnet50:
                models["resnet50"] = build_model(scratch, "resnet50")
            result = {"table": measure_networks(images, models, args.repeats)}
            counts = {"dlib": args.faces, "resnet50": args.resnet_faces}
            result["scripts"] = measure_scripts(images, models, counts, result["table"], scratch)
    measure.write_result(args.output, result)
    return 0


def collect_images(faces: Path | None, scratch: Path) -> list[Path]:
    """The image files of a faces folder; without one, 200 chips of drawn people. Raises InputError for few."""
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
        raise InputError(f"{len(images)} images are too few to time: {2 * BATCH_SIZE} at least")
    return images


def build_model(scratch: Path, backbone: str) -> Path:
    """An extractor of a backbone, saved; ResNet50 with random weights, which take as long as any."""
    weights = ["--weights", "none"] if backbone != "dlib" else []
    measure.run_process("network.py", "-o", scratch, "-m", backbone, "-p", 0, "--backbone", backbone, *weights)
    return scratch / f"{backbone}.keras"


def network_gigaflops(model) -> float:
    """10⁹ floating-point operations a face: two for each weight at each place where it is used."""
    import numpy as np
    from keras import layers

    total = 0
    for layer in model.layers:
        if hasattr(layer, "layers"):
            total += network_gigaflops(layer) * 1e9
        elif isinstance(layer, layers.Conv2D | layers.Dense):
            places = np.prod(layer.output.shape[1:-1]) if isinstance(layer, layers.Conv2D) else 1
            total += 2 * places * np.prod(layer.kernel.shape)
    return float(total) / 1e9


def measure_networks(images: list[Path], models: dict[str, Path], repeats: int) -> list[dict]:
    """The networks in both precisions, dlib's own descriptor and the peak, in turn; prints and returns the table."""
    from utils.features.extractor import load_extractor
    from utils.media.images import read_image, resize_chip

    pictures = [read_image(path) for path in images[:BATCH_SIZE]]
    functions, faces, work = {}, {}, {}
    for precision in ("float32", "bfloat16"):
        functions[f"peak {precision}"] = measure.matrix_product(precision)
    for name, path in models.items():
        for precision in ("float32", "bfloat16"):
            extractor = load_extractor(path, precision)
            chips = [resize_chip(picture, extractor.size) for picture in pictures[: extractor.batch_size]]
            row = f"{name} {precision}"
            functions[row] = lambda extractor=extractor, chips=chips: extractor.embed(chips)
            faces[row], work[row] = len(chips), network_gigaflops(extractor.model)
    singles = [resize_chip(picture, 150) for picture in pictures[:SINGLE_FACES]]
    functions["dlib itself"] = dlib_descriptors(singles)
    faces["dlib itself"], work["dlib itself"] = len(singles), work["dlib float32"]
    if importlib.util.find_spec("face_recognition"):
        functions["face_recognition"] = face_recognition_encodings(singles)
        faces["face_recognition"], work["face_recognition"] = len(singles), work["dlib float32"]
    costs = measure.in_turn(functions, repeats)
    peaks = {p: 2 * 4096**3 / costs[f"peak {p}"].wall / 1e9 for p in ("float32", "bfloat16")}
    table = rate_rows({name: (faces[name], work[name], costs[name]) for name in faces}, peaks["float32"])
    for precision, peak in peaks.items():
        row = [f"peak {precision}", "", "", peak, peak / peaks["float32"], ""]
        table.append(dict(zip(COLUMNS, row, strict=True)))
    measure.print_table(COLUMNS, [list(row.values()) for row in table])
    return table


def rate_rows(measured: dict[str, tuple], peak: float) -> list[dict]:
    """Rows of COLUMNS of what was measured, name → (faces, GFLOP a face, Cost), "dlib itself" among it."""
    faces, _, cost = measured["dlib itself"]
    dlib_rate = faces / cost.wall
    rows = []
    for name, (faces, gigaflops, cost) in measured.items():
        rate = faces / cost.wall
        row = [name, rate, 1000 * cost.cpu / faces, rate * gigaflops, rate * gigaflops / peak, rate / dlib_rate]
        rows.append(dict(zip(COLUMNS, row, strict=True)))
    return rows


def dlib_descriptors(chips: list):
    """dlib's own network as face_recognition and DeepFace call it: one face at a time."""
    import dlib

    from utils.features.dlib_network import find_dlib_weights

    network = dlib.face_recognition_model_v1(str(find_dlib_weights()))
    return lambda: [network.compute_face_descriptor(chip) for chip in chips]


def face_recognition_encodings(chips: list):
    """face_recognition's encodings of faces whose place is known: landmarks, chip and descriptor."""
    import face_recognition

    box = [(30, 120, 120, 30)]  # top, right, bottom, left
    return lambda: [face_recognition.face_encodings(chip, box) for chip in chips]


def measure_scripts(images, models, counts: dict[str, int], table: list[dict], scratch: Path) -> list[dict]:
    """extract_features.py as a whole process, less its start-up; prints and returns the table.

    Start-up is what a run on one batch takes: imports, loading, compiling and that batch. What the rest
    of the faces takes is the difference to a run on all of them.
    """
    rates = {row["what"]: row for row in table}
    runs = {
        "dlib float32": (),
        "dlib bfloat16": ("--precision", "bfloat16"),
        "dlib float32 --align 1": ("--align", 1),
        "resnet50 float32": (),
        "resnet50 bfloat16": ("--precision", "bfloat16"),
    }
    measured, extras = {"dlib itself": (1, 0, measure.Cost(1 / rates["dlib itself"]["faces/s"], 0))}, {}
    for name, words in runs.items():
        backbone = name.split()[0]
        if backbone not in models:
            continue
        few, all_of_them = (
            link_faces(images, count, scratch / f"faces{count}") for count in (BATCH_SIZE, counts[backbone])
        )
        start = run_extraction(few, models[backbone], scratch, words)
        whole = run_extraction(all_of_them, models[backbone], scratch, words)
        network = rates[f"{backbone} float32"]
        cost = measure.Cost(whole.wall - start.wall, whole.cpu - start.cpu)
        label = f"extract_features.py {name}, {counts[backbone]} faces"
        measured[label] = (counts[backbone] - BATCH_SIZE, network["GFLOP/s"] / network["faces/s"], cost)
        extras[label] = {"start-up s": start.wall, "peak MB": whole.peak}
    rows = rate_rows(measured, rates["peak float32"]["GFLOP/s"])
    rows = [row | extras[row["what"]] for row in rows if row["what"] in extras]
    measure.print_table([*COLUMNS, "start-up s", "peak MB"], [list(row.values()) for row in rows])
    return rows


def link_faces(images: list[Path], count: int, folder: Path, each: int = 10) -> Path:
    """A faces folder of links to `count` images, so many a person; where they are too few they come again."""
    for number in range(0 if folder.exists() else count):
        image = images[number % len(images)]
        link = folder / f"person {number // each:05}" / f"{number}{image.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(image.resolve())
    return folder


def run_extraction(faces: Path, model: Path, scratch: Path, words=(), keep: bool = False) -> measure.Process:
    import shutil

    features = scratch / "features"
    if not keep:
        shutil.rmtree(features, ignore_errors=True)
    return measure.run_process("extract_features.py", "-p", faces, "-m", model, "-f", features, *words)


def measure_growth(images: list[Path], model: Path, sizes: list[int], scratch: Path) -> list[dict]:
    """Time and memory by the number of faces, ten a person, and what a second, unchanged run takes."""
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
