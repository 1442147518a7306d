"""The similarity head as a file and as a function: two batches of features in, probabilities of "same person" out.

`similarity.keras` takes features (n, D) and (n, D). Normalization, comparison and calibration are inside, so no
numbers have to be passed along with it. Its description says which extractor's features it was trained on, its
threshold and how the threshold was chosen. It is stored in the same file, so that no crash can separate them, and for
reading in `similarity.json` beside it. Changes made there count. `similarity.keras.npz` lets NumPy compute the head.
"""

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils import interrupts
from utils.cli import InputError, shown, warn
from utils.exported import HEAD, description_path, is_exported, load_exported
from utils.features.normalization import Normalization
from utils.files import json_bytes, one_spelling, read_json, write_json
from utils.heads.exported_similarity import ExportedSimilarity
from utils.heads.keras_similarity import Similarity, parts_of, similarity_of
from utils.heads.models import ENERGY, TWIN, dense_similarity
from utils.heads.numpy_similarity import NumpySimilarity, arrays_path, read_arrays, write_arrays
from utils.heads.threshold import (
    RECIPE_MIN_VOTES,
    RECIPE_THRESHOLD,
    log_odds_for_far,
    read_share,
    read_threshold_table,
)
from utils.keras_models import (
    MODEL_SUFFIXES,
    find_model,
    load_model,
    read_layer_names,
    read_note,
    save_model,
)
from utils.log_odds import probabilities
from utils.storage import as_path

if TYPE_CHECKING:
    import keras

HEAD_FILE_NAME = "similarity.keras"
DESCRIPTION = "siamese_faces_head"  # the key of the description inside the file
MAX_VALUES = 1 << 22  # on each side of the pairs scored in one call; limits memory
MAX_STRANGERS_NAMED = 0.01  # share of strangers' faces that may get a name, however many people are enrolled


def head_path(path: str | Path) -> Path:
    """The file of the head called `path`: the file itself, or `similarity.keras` in that folder."""
    path = as_path(path)
    return path if path.suffix.lower() in MODEL_SUFFIXES else path / HEAD_FILE_NAME


def find_head(path: str | Path) -> Path:
    """The existing file of the head called `path`. Raises InputError."""
    return head_path(path) if head_path(path).is_file() else find_model(path)


def save_head(path: Path, similarity: "keras.Model", description: dict) -> None:
    """Write the head, with its description inside, then the description's copy and the arrays, each atomically.

    A crash in between leaves those of the previous head, which `load_head` recognizes by their `id` and stamp.
    """
    description = description | {"id": _head_id(similarity, description)}
    save_model(similarity, path, {DESCRIPTION: description})
    write_json(path.with_suffix(".json"), description)
    by_numpy = similarity_of(similarity)
    if isinstance(by_numpy, NumpySimilarity):
        write_arrays(path, by_numpy)
    else:
        arrays_path(path).unlink(missing_ok=True)  # the previous head's


def _head_id(similarity: "keras.Model", description: dict) -> str:
    digest = hashlib.sha256(json_bytes(description))
    for array in similarity.get_weights():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def is_own_head(path: Path) -> bool:
    """Whether train.py saved this head, even if its description is lost, so that it may be replaced."""
    if path.with_suffix(".json").is_file():
        return True
    try:
        return read_note(path, DESCRIPTION) is not None or {TWIN, ENERGY} <= read_layer_names(path)
    except InputError:
        return False


def load_description(path: Path, has_parts: bool = False) -> dict:
    """The description of the head in a file. Raises InputError if train.py saved the head and it is lost.

    has_parts: whether the head has the parts of those that train.py saves.
    """
    inside, json_path = read_note(path, DESCRIPTION), path.with_suffix(".json")
    beside = read_json(json_path) if json_path.is_file() else None
    if inside is None and beside is None and has_parts:  # an earlier version stored it only beside the head
        raise InputError(
            f"{path} has lost its description, {json_path.name}, without which its threshold and its extractor are "
            "unknown: copy it back, or train the head again with train.py"
        )
    if inside is None:
        return beside or {}  # a head of the original recipe never had one
    if beside is not None and beside.get("id") == inside.get("id"):
        return beside
    if beside is not None:
        warn(f"{json_path} describes another head and is ignored: {path.name} holds its own description")
    return inside


class Head:
    """A similarity head with its decision rule, the original recipe's where the description has none.

    Attributes:
        similarity: its function of two feature batches.
        dimension: D.
        extractor: fingerprint of the extractor whose features it was trained on; None if unknown.
        threshold: the probability above which two faces are the same person's.
        min_votes: share of a person's images that must reach it; None for no vote, see utils/recognition/gallery.py.
        far: the false accept rate of one comparison that the threshold is for; None if unknown.
        held_out_people: names of people it did not learn from, as far as the description lists them.
    """

    def __init__(self, similarity: Similarity, description: dict):
        self.similarity, self.dimension = similarity, similarity.dimension
        if description.get("dimension", self.dimension) != self.dimension:
            raise InputError(
                f"the description is another head's: the head takes {self.dimension} features. "
                f"Received: {shown(description['dimension'])}"
            )
        self.extractor = description.get("extractor")
        self.threshold = read_share(description, "threshold", RECIPE_THRESHOLD)
        no_vote = "min_votes" in description and description["min_votes"] is None
        self.min_votes = None if no_vote else read_share(description, "min_votes", RECIPE_MIN_VOTES)
        self.far = None if description.get("far") is None else read_share(description, "far", 0.0)
        self._thresholds = read_threshold_table(description.get("thresholds", []))
        # The gallery that was scored last, and its projection.
        self._last_gallery: tuple[np.ndarray | None, np.ndarray | None] = None, None
        self.held_out_people = description.get("held_out_people", [])
        if not isinstance(self.held_out_people, list):
            raise InputError(f"the head's held_out_people must be a list. Received: {shown(self.held_out_people)}")
        if not isinstance(self.extractor, str | None):
            raise InputError(f"the head's extractor must be a name. Received: {shown(self.extractor)}")
        self.held_out_people = [one_spelling(str(name)) for name in self.held_out_people]

    def score_pairs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (n,), of two feature matrices (n, D), row by row."""
        first, second = self.project(a), self.project(b)
        scores = [self.similarity.score_rows(first[part], second[part]) for part in _parts(*first.shape)]
        return np.concatenate([np.empty(0, np.float32), *scores])

    def score_rows(self, matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (n,), of pairs of rows, int (n, 2), of a feature matrix (m, D), block by block."""
        projected = self.project(matrix)
        scores = [np.empty(0, np.float32)]
        for part in _parts(len(rows), projected.shape[1]):
            scores.append(self.similarity.score_rows(*(projected[rows[part, side]] for side in (0, 1))))
        return np.concatenate(scores)

    def project(self, features: np.ndarray) -> np.ndarray:
        """The vectors that the head compares, float32 (n, E), of features (n, D)."""
        features = np.asarray(features, np.float32)
        parts = _parts(len(features), self.dimension) or [slice(0)]  # no rows have a width, too
        return np.concatenate([self.similarity.project(features[part]) for part in parts])

    def score_projected(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (f, g), of every probe against every gallery row, both from `project`."""
        scores = self.similarity.score_all(probes, gallery)
        if scores is not None:
            return scores
        step = max(1, MAX_VALUES // max(1, probes.size))
        blocks = [np.empty((len(probes), 0), np.float32)]
        for start in range(0, len(gallery), step):
            block = gallery[start : start + step]
            pairs = [np.repeat(probes, len(block), axis=0), np.tile(block, (len(probes), 1))]
            blocks.append(self.similarity.score_rows(*pairs).reshape(len(probes), -1))
        return np.concatenate(blocks, axis=1)

    def score_gallery(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (f, g), of every probe (f, D) against every gallery row (g, D).

        The projection of the last gallery is kept as long as the same array comes: pass a new array for other rows.
        """
        if self._last_gallery[0] is not gallery:
            self._last_gallery = gallery, self.project(gallery)
        return self.score_projected(self.project(probes), self._last_gallery[1])

    @property
    def knows_impostors(self) -> bool:
        """Whether the head's file says how pairs of different people score."""
        return bool(self._thresholds)

    def impostor_log_odds(self, rate: float) -> float:
        """The log odds that a share `rate`, 0-1, of pairs of different people exceeds, where the head was measured."""
        return log_odds_for_far(rate, self._thresholds)

    def threshold_for(self, people: int) -> float:
        """The threshold for so many enrolled people: the head's own, or a higher one where many are enrolled.

        With p people a stranger has p chances to get a name, so the false accept rate of one comparison is limited
        to MAX_STRANGERS_NAMED / p. Rates below those in the head's data are extrapolated, see `log_odds_for_far`;
        heads of very many people need slightly lower thresholds than this.
        """
        if self.far is None or not self._thresholds:
            return self.threshold
        named = max(MAX_STRANGERS_NAMED, self.far)  # a higher rate asked for in training is kept
        if self.far * people <= named:
            return self.threshold
        return max(self.threshold, float(probabilities(log_odds_for_far(named / people, self._thresholds))))


def _parts(rows: int, width: int) -> list[slice]:
    step = max(1, MAX_VALUES // width)
    return [slice(start, start + step) for start in range(0, rows, step)]


@interrupts.deferred()
def load_head(path: str | Path, normalization: Normalization | None = None) -> Head:
    """Load a head by its folder or file, without Keras if train.py has saved it. Raises InputError.

    A head of the original recipe has one input, the difference of two faces. It gets the two inputs and |a − b|
    here, with `normalization` if given.
    """
    if is_exported(path):
        return _load_exported_head(as_path(path), normalization)
    path = find_head(path)
    similarity, own = None if normalization else read_arrays(path), True
    if similarity is None:
        similarity, own = _load_by_keras(path, normalization)
    description = load_description(path, own)
    try:
        return Head(similarity, description)
    except InputError as exc:
        raise InputError(f"{path}: {exc}") from None


def _load_exported_head(path: Path, normalization: Normalization | None) -> Head:
    if normalization:
        raise InputError(f"{path} has its own normalization: --normalize 1 is for heads of the original recipe")
    network, content = load_exported(path, HEAD)
    rule = content.get(HEAD)
    if not isinstance(rule, dict):
        raise InputError(f"{description_path(path)} is damaged: export the head again")
    try:
        return Head(ExportedSimilarity(network), rule)
    except InputError as exc:
        raise InputError(f"{path}: {exc}") from None


def _load_by_keras(path: Path, normalization: Normalization | None) -> tuple[Similarity, bool]:
    """A head's function, and whether train.py has saved it. Writes what lets the next run do without Keras."""
    model = load_model(path)
    own = bool(parts_of(model))
    if len(model.inputs or ()) == 1 and len(model.inputs[0].shape) == 2 and model.inputs[0].shape[1]:
        model = dense_similarity(model, normalization)
    elif normalization:
        raise InputError(f"{path} has its own normalization: --normalize 1 is for heads of the original recipe")
    try:
        similarity = similarity_of(model)
    except InputError as exc:
        raise InputError(f"{path}: {exc}") from None
    if own and isinstance(similarity, NumpySimilarity):
        _renew_arrays(path, similarity)
    return similarity, own


def _renew_arrays(path: Path, similarity: NumpySimilarity) -> None:
    """Write the arrays of a head that has none or another head's, and say so."""
    arrays = arrays_path(path)
    reason = f"again, because it does not fit {path.name}" if arrays.exists() else "for runs without TensorFlow"
    print(f"note: making {arrays} {reason}", file=sys.stderr)
    try:
        write_arrays(path, similarity)
    except OSError as exc:
        warn(f"{arrays} cannot be written, so every run has to load TensorFlow: {exc.strerror}")
