"""Export an extractor and a head, each compared with Keras before it takes its name."""

from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np

from utils.cli import counted, warn
from utils.engine import compile_network
from utils.export.faces import COMPARED, MAX_CALIBRATION, Cut, draw_faces, sample_faces
from utils.export.formats import write_network
from utils.export.parity import check_features, check_probabilities, compare_features
from utils.export.runtimes import RUNTIMES, run_exported
from utils.export.writing import write_checked
from utils.exported import EXTRACTOR, HEAD, SUFFIXES, network_files
from utils.faces.crops import cut_crop
from utils.features.engine_file import ExtractorInfo, extractor_info
from utils.features.keras_extractor import KerasNetwork, load_extractor_model
from utils.heads.head import find_head, load_description, load_head
from utils.keras_models import find_model, load_model
from utils.recognition.gallery import check_head

# What an extractor takes, besides its size, whichever network is inside.
INPUT = {"layout": "NHWC", "channels": "RGB", "range": [0, 255], "dtype": "float32"}
FEW_FACES = 50  # to quantize on; with fewer, ranges may be too narrow for other faces


@dataclass(frozen=True)
class ExportOptions:
    """What to write, and where."""

    folder: Path
    network_format: str  # onnx, openvino or litert
    precision: str  # float32, float16 or int8, of the extractor's weights
    faces_path: Path | None  # the user's faces, to quantize and compare on; None for drawn ones
    seed: int  # of the choice among the faces

    def path(self, kind: str) -> Path:
        return self.folder / f"{kind}{SUFFIXES[self.network_format]}"


@dataclass
class ComparedFeatures:
    """The features (n, D) of some faces, with which a head can be compared."""

    expected: np.ndarray  # by Keras
    exported: np.ndarray | None = None  # by the exported extractor, once there is one


def export_networks(model_path: Path, head_path: Path | None, options: ExportOptions) -> None:
    """Write an extractor and, if given, a head, and print how they compare with Keras. Raises InputError."""
    model, crop_points = load_extractor_model(find_model(model_path))
    info = extractor_info(model, crop_points)
    head = load_head(head_path) if head_path else None
    if head:  # before any work
        check_head(head, info.dimension, info.fingerprint, "the features of --model come")
    compared = export_extractor(KerasNetwork(model), info, options)
    if head_path:
        export_head(find_head(head_path), compared, options)


def export_extractor(network: KerasNetwork, info: ExtractorInfo, options: ExportOptions) -> ComparedFeatures:
    """Write an extractor with its description, and print how it compares with Keras. Raises InputError."""
    faces = _load_faces(options, partial(cut_crop, points=info.crop_points, size=info.size))
    # Faces that it was quantized on would flatter it; where there are few, they have to do for both.
    compared = faces[:COMPARED]
    calibration = faces[COMPARED:] if len(faces) >= 2 * COMPARED else faces
    if options.precision == "int8" and len(calibration) < FEW_FACES:
        warn(f"only {counted(len(calibration), 'face')} to quantize on: with {MAX_CALIBRATION} int8 loses less")
    path, features = options.path(EXTRACTOR), ComparedFeatures(network(compared))

    def describe(written: Path) -> dict:
        features.exported = run_exported(written, compared)
        results = {RUNTIMES[options.network_format]: features.exported}
        if options.network_format == "onnx":  # which these scripts run on OpenVINO
            results["OpenVINO"] = compile_network(written)(compared)[0]
        drawn = options.faces_path is None
        found = {name: compare_features(features.expected, result, drawn) for name, result in results.items()}
        for parity in found.values():
            check_features(parity, options.precision)
        print(f"{path}: {_size(written)}, {info.size} px → {info.dimension} features ({info.fingerprint})")
        print("\n".join(f"  {name}: {parity.describe()}" for name, parity in found.items()))
        parity = max(found.values(), key=lambda parity: parity.mean_moved)
        made = {"format": options.network_format, "precision": options.precision}
        return made | info.to_json() | INPUT | {"parity": asdict(parity)}

    write = partial(write_network, network.model, network_format=options.network_format)
    write_checked(path, EXTRACTOR, partial(write, precision=options.precision, faces=calibration), describe)
    return features


def _load_faces(options: ExportOptions, cut: Cut) -> np.ndarray:
    rng = np.random.default_rng(options.seed)
    if options.faces_path is None:
        return draw_faces(COMPARED, cut, rng)
    count = COMPARED + (MAX_CALIBRATION if options.precision == "int8" else 0)
    return sample_faces(options.faces_path, count, cut, rng)


def export_head(source: Path, features: ComparedFeatures, options: ExportOptions) -> None:
    """Write a head with its description, and print how it compares with Keras. Raises InputError."""
    model = load_model(source)
    rows = np.array(list(combinations(range(len(features.expected)), 2)), int).reshape(-1, 2).T
    expected = np.asarray(model.predict_on_batch([features.expected[row] for row in rows]))
    path = options.path(HEAD)

    def describe(written: Path) -> dict:
        same, moved = (
            np.abs(run_exported(written, *(matrix[row] for row in rows)) - expected).max()
            for matrix in (features.expected, features.exported)
        )
        check_probabilities(same)
        print(f"{path}: {_size(written)}, {features.expected.shape[1]} features of two faces → their probability")
        print(
            f"  {RUNTIMES[options.network_format]}: on {counted(rows.shape[1], 'pair')} its probabilities differ from "
            f"Keras' by {same:.1e} at most, and by {moved:.1e} on the exported extractor's features"
        )
        # The names of the people it was tried on are nobody else's business.
        rule = {key: value for key, value in load_description(source).items() if key != "held_out_people"}
        parity = {"pairs": rows.shape[1], "max_difference": float(same), "max_difference_of_both": float(moved)}
        return {"format": options.network_format, "precision": "float32", "parity": parity, HEAD: rule}

    write = partial(write_network, model, network_format=options.network_format)
    write_checked(path, HEAD, partial(write, precision="float32", faces=np.empty(0)), describe)


def _size(path: Path) -> str:
    return f"{sum(file.stat().st_size for file in network_files(path)) / 1e6:.1f} MB"
