"""The similarity head as a file and as a function: two feature batches in, probabilities out.

`similarity.keras` takes (n, D) and (n, D) and holds the normalization, the comparison and the
calibration, so that nobody passes numbers by hand. `similarity.json` beside it says which extractor's
features it was trained on, its threshold and how that was chosen.
"""

from pathlib import Path

import numpy as np

from utils.cli import InputError
from utils.features.normalization import Normalization
from utils.files import read_json, write_json
from utils.heads.models import ENERGY, TWIN, compare_all, dense_similarity
from utils.heads.threshold import (
    MAX_STRANGERS_NAMED,
    RECIPE_MIN_VOTES,
    RECIPE_THRESHOLD,
    _log_odds_for,
    _share,
    _threshold_table,
)
from utils.keras_models import MODEL_SUFFIXES, find_model, load_model, padded_batch_size, save_model
from utils.log_odds import probabilities

HEAD_FILE_NAME = "similarity.keras"
MAX_VALUES = 1 << 22  # of each side of the pairs that are scored in one call, which bounds memory


def head_path(path: str | Path) -> Path:
    """The file of the head called `path`: the file itself, or `similarity.keras` in the folder."""
    path = Path(path)
    return path if path.suffix.lower() in MODEL_SUFFIXES else path / HEAD_FILE_NAME


def save_head(path: Path, similarity, description: dict) -> None:
    """Write the head and, after it, its `.json`. Both are atomic."""
    # Without its description for a moment, rather than with the description of the head before it.
    path.with_suffix(".json").unlink(missing_ok=True)
    save_model(similarity, path)
    write_json(path.with_suffix(".json"), description)


class Head:
    """A compiled similarity head.

    dimension: D. extractor: the fingerprint of the extractor it was trained with, None if unknown.
    threshold, min_votes: its decision rule, the original recipe's where its `.json` gives none. min_votes None: no
    vote, see utils/recognition/gallery.py. far: the false accept rate of one
    comparison that the threshold is for, if known.
    held_out_people: names of those whom it did not learn from, as far as its `.json` says.
    """

    def __init__(self, similarity, description: dict):
        shapes = [tuple(tensor.shape) for tensor in similarity.inputs or ()]
        outputs = [tuple(tensor.shape) for tensor in similarity.outputs or ()]
        pair = len(shapes) == 2 and shapes[0] == shapes[1] and len(shapes[0]) == 2 and shapes[0][1]
        if not pair or outputs != [(None, 1)]:
            raise InputError(
                "a similarity head maps two feature batches (n, D) to (n, 1), or, as the original recipe's, one. "
                f"Received: {shapes} to {outputs}"
            )
        self.model = similarity
        # A head of train.py's has two parts; then a gallery's half of the work is done once.
        parts = {layer.name: layer for layer in similarity.layers if hasattr(layer, "layers")}
        whole = not {TWIN, ENERGY} <= parts.keys()
        self._twin, self._energy = (None, similarity) if whole else (parts[TWIN], parts[ENERGY])
        self.dimension = shapes[0][1]
        self.extractor = description.get("extractor")
        self.threshold = _share(description, "threshold", RECIPE_THRESHOLD)
        voteless = "min_votes" in description and description["min_votes"] is None
        self.min_votes = None if voteless else _share(description, "min_votes", RECIPE_MIN_VOTES)
        self.far = None if description.get("far") is None else _share(description, "far", 0.0)
        self._thresholds = _threshold_table(description.get("thresholds", []))
        self._remembered = None, None  # the gallery that was scored last, and its projection
        self.held_out_people = description.get("held_out_people", [])
        if not isinstance(self.held_out_people, list):
            raise InputError(f"the head's held_out_people must be a list. Received: {self.held_out_people!r}")
        if not isinstance(self.extractor, str | None):
            raise InputError(f"the head's extractor must be a name. Received: {self.extractor!r}")

    def score_pairs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Probabilities of "same person", float32 (n,), of two feature matrices (n, D)."""
        scores = [_predict(self.model, [a[part], b[part]])[:, 0] for part in _parts(len(a), self.dimension)]
        return np.concatenate(scores) if scores else np.empty(0, np.float32)

    def score_rows(self, matrix: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (n,), of pairs of rows, int (n, 2), of a feature matrix (m, D), block by block."""
        projected = self.project(matrix)
        scores = [np.empty(0, np.float32)]
        for part in _parts(len(pairs), projected.shape[1]):
            sides = [projected[pairs[part, side]] for side in (0, 1)]
            scores.append(_predict(self._energy, sides)[:, 0])
        return np.concatenate(scores)

    def project(self, features: np.ndarray) -> np.ndarray:
        """What the head compares, float32 (n, E), of features (n, D): its twin's output, or they themselves."""
        features = np.asarray(features, np.float32)
        if self._twin is None:
            return features
        if not len(features):
            return np.empty((0, self._twin.outputs[0].shape[1]), np.float32)
        return np.concatenate(
            [_predict(self._twin, [features[part]]) for part in _parts(len(features), self.dimension)]
        )

    def score_projected(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (f, g), of every probe against every gallery row, both as `project` gave them."""
        if self._twin is not None:
            scores = compare_all(self._energy, probes, gallery)
            if scores is not None:
                return scores
        step = max(1, MAX_VALUES // max(1, probes.size))
        scores = [np.empty((len(probes), 0), np.float32)]
        for start in range(0, len(gallery), step):
            block = gallery[start : start + step]
            pairs = [np.repeat(probes, len(block), axis=0), np.tile(block, (len(probes), 1))]
            scores.append(_predict(self._energy, pairs)[:, 0].reshape(len(probes), -1))
        return np.concatenate(scores, axis=1)

    def score_gallery(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (f, g), of every probe (f, D) against every gallery row (g, D).

        A gallery that comes again, the same array, is not projected again: give a new array for other rows.
        """
        if self._remembered[0] is not gallery:
            self._remembered = gallery, self.project(gallery)
        return self.score_projected(self.project(probes), self._remembered[1])

    def threshold_for(self, people: int) -> float:
        """The threshold for so many enrolled people: the head's own, or a higher one where many are enrolled.

        With p people a stranger has p chances to be taken for somebody, so that the false accept rate of one
        is bounded by MAX_STRANGERS_NAMED / p too. Below the rates that the head's data shows, its log odds go on
        with the logarithm of the rate as they did in the last decade: heads of many people say a little less.
        """
        if self.far is None or not self._thresholds:
            return self.threshold
        named = max(MAX_STRANGERS_NAMED, self.far)  # who asks for more gets it
        if self.far * people <= named:
            return self.threshold
        return max(self.threshold, float(probabilities(_log_odds_for(named / people, self._thresholds))))


def _parts(rows: int, width: int) -> list[slice]:
    step = max(1, MAX_VALUES // width)
    return [slice(start, start + step) for start in range(0, rows, step)]


def _predict(model, inputs: list[np.ndarray]) -> np.ndarray:
    # Padded to a power of two: each new number of rows would be compiled anew.
    rows = len(inputs[0])
    padding = ((0, padded_batch_size(rows) - rows), (0, 0))
    padded = [np.pad(array, padding) for array in inputs]
    return model.predict_on_batch(padded if len(padded) > 1 else padded[0])[:rows]


def load_head(path: str | Path, normalization: Normalization | None = None) -> Head:
    """Load a head by its folder or file.

    A head of the original recipe has one input, the difference: it gets its front here, with
    `normalization` if given. Raises InputError.
    """
    path = head_path(path) if head_path(path).is_file() else find_model(path)
    model = load_model(path)
    if len(model.inputs or ()) == 1 and len(model.inputs[0].shape) == 2 and model.inputs[0].shape[1]:
        model = dense_similarity(model, normalization)
    elif normalization:
        raise InputError(f"{path} carries its own normalization: --normalize 1 is for heads of the original recipe")
    json_path = path.with_suffix(".json")
    return Head(model, read_json(json_path) if json_path.is_file() else {})
