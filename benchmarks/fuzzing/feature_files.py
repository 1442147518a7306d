"""Feature matrices and the suite's JSON files."""

import json
import math
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np

from fuzzing.target import EXTRACTOR, MATRIX, check


def pickle_seeds(folder: Path) -> None:
    number = 0
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for kind in ("<f2", "<f4", "<f8", ">f4"):
            for order in "CF":
                (folder / f"{number}").write_bytes(pickle.dumps(MATRIX.astype(kind, order=order), protocol))
                number += 1


def read_pickle(data: bytes, folder: Path) -> None:
    from utils.features.safe_pickle import unpickle_matrix

    check_matrix(unpickle_matrix(data))


def check_matrix(matrix: np.ndarray) -> None:
    check(matrix.dtype == np.float32 and matrix.ndim == 2 and matrix.size, f"{matrix.dtype} {matrix.shape}")
    check(np.isfinite(matrix).all(), "a number is not finite")
    check(matrix.flags.writeable and matrix.flags.c_contiguous, "not an array of its own")


def write_features(folder: Path) -> Path:
    """Feature files of one person; returns the manifest's path."""
    from utils.features.feature_files import ImageEntry, feature_path, save_person

    images = [ImageEntry(f"ada_{number}.png", 12345 + number, 1_700_000_000_000_000_000) for number in range(2)]
    save_person(folder, "ada", MATRIX, images, EXTRACTOR, 1)
    return feature_path(folder, "ada").with_suffix(".json")


def manifest_seeds(folder: Path) -> None:
    shutil.copy(write_features(folder.parent / "features"), folder / "manifest.json")


def read_manifest(data: bytes, folder: Path) -> None:
    from utils.features.feature_files import feature_path, load_features, load_person, save_rows

    write_features(folder).write_bytes(data)
    person = load_person(folder, "ada")
    check(person.matrix.shape == (2, 3), "another matrix")
    features = load_features(folder)
    check(len(features.images) == 2 and all(isinstance(name, str) for name in features.images), "odd images")
    check(features.extractor is None or isinstance(features.extractor, str), "odd extractor")
    if person.manifest:  # what was read can be written again
        save_rows(folder, "ada", person.rows(), person.manifest.extractor, person.manifest.align)
        check(feature_path(folder, "ada").is_file() and load_person(folder, "ada").manifest, "cannot be written again")


def normalization_seeds(folder: Path) -> None:
    from utils.features.normalization import Normalization, save_normalization

    spread = np.array([0.5, 0.25, 2.0])
    for number, extractor in enumerate((EXTRACTOR, None)):
        path = save_normalization(folder, Normalization(0.1, 1.5, 20, MATRIX[0].astype(float), spread, extractor))
        path.rename(folder / f"{number}.json")


def read_normalization(data: bytes, folder: Path) -> None:
    from utils.features.normalization import NORMALIZATION_FILE, load_normalization

    (folder / NORMALIZATION_FILE).write_bytes(data)
    found = load_normalization(folder, 3, EXTRACTOR)
    # A head's first layer computes x · (1 / std) − mean / std in float32.
    with np.errstate(over="ignore"):
        numbers = np.float32([found.mean, found.std, 1 / found.std, found.mean / found.std])
    check(np.isfinite(numbers).all() and numbers[1] > 0, f"not finite in float32: {numbers}")
    check(found.dimension_mean.shape == found.dimension_std.shape == (3,), "odd shapes")
    check(np.isfinite(found.dimension_mean).all() and np.isfinite(found.dimension_std).all(), "not finite")
    check(isinstance(found.extractor, str | None) and found.count >= 1, f"{found.extractor!r} {found.count}")


DESCRIPTION = {
    "dimension": 3,
    "extractor": EXTRACTOR,
    "head": "plda",
    "threshold": 0.93,
    "min_votes": None,
    "far": 1e-3,
    "thresholds": [[0.1, 0.6], [0.03, 0.8], [0.01, 0.9], [1e-3, 0.93]],
    "threshold_interval": [0.9, 0.95],
    "held_out": {"auc": 0.99, "people": ["ada", "bob"]},
    "held_out_people": ["ada", "Zoë"],
    "calibration": None,
    "id": "0123456789abcdef",
}


def head_seeds(folder: Path) -> None:
    (folder / "0.json").write_text(json.dumps(DESCRIPTION))
    (folder / "1.json").write_text(json.dumps(DESCRIPTION | {"min_votes": 0.85, "far": None, "thresholds": []}))


def read_head(data: bytes, folder: Path) -> None:
    from utils.heads.head import Head, _load_description
    from utils.heads.numpy_similarity import NumpySimilarity
    from utils.model_file import trust

    path = folder / "similarity.keras"
    with zipfile.ZipFile(path, "w") as archive:  # without a description of its own
        archive.writestr("metadata.json", "{}")
    trust(path)  # it is not what is tried here
    path.with_suffix(".json").write_bytes(data)
    check_head(Head(NumpySimilarity("distance", 3, -1.0, 0.0), _load_description(path, True)))


def check_head(head: object) -> None:
    check(0 <= head.threshold <= 1 and (head.min_votes is None or 0 <= head.min_votes <= 1), "odd rule")
    check(head.far is None or 0 <= head.far <= 1, f"odd rate {head.far}")
    with np.errstate(all="raise", under="ignore"):
        for people in (1, 2, 10, 1000, 10**6):
            threshold = head.threshold_for(people)
            check(math.isfinite(threshold) and 0 <= threshold <= 1, f"threshold {threshold} for {people} people")
    check(all(isinstance(name, str) for name in head.held_out_people), "odd people")
    check(isinstance(head.extractor, str | None), "odd extractor")
