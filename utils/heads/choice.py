"""Which kinds of heads suit a folder of people. The figures behind these rules are in docs/research.md."""

import numpy as np

from utils.cli import InputError
from utils.heads.operating_point import MIN_PEOPLE_TO_CALIBRATE
from utils.heads.options import PLAIN_KINDS
from utils.heads.pairs import capped_rows
from utils.heads.plain import PlainConstants, constants_of, have_unit_length, suitable_measure
from utils.metrics import pairs_of_people

# People with several photos. A head trained on dlib features of fewer people is no better than plain distance.
MIN_PEOPLE_TO_BEAT_PLAIN = 50
# Constants of other people do not fit these faces, which may be drawings or small children, if more than this share of
# the pairs of people is nearer than the threshold that should accept one pair in a thousand.
MAX_CONFUSED_SHARE, CONFUSING_FAR = 0.2, 0.001
MIN_PEOPLE_TO_DOUBT = 5  # fewer people do not show it
CONFUSED_PHOTOS, CONFUSED_PEOPLE = 5, 2000  # of each person and in all that are compared; more only take time
BLOCK = 1 << 10  # photos that are compared with all others at once; limits memory


def candidate_kinds(extractor: str | None, matrix: np.ndarray, labels: np.ndarray) -> tuple[str, ...]:
    """The kinds of heads to choose from, the default first: a second one has to beat it on held-out people.

    The default is the plain head of the extractor's measure. Where no measure is known to fit, it is the original
    recipe's dense head, or cosine, if there are enough people to calibrate it and to train a better one.

    Args:
        extractor: its fingerprint.
        matrix, labels: features (n, D) and people (n,).
    """
    measure = suitable_measure(extractor, matrix)
    if people_with_several(labels) < MIN_PEOPLE_TO_BEAT_PLAIN:
        return (measure or "dense",)
    return measure or "cosine", "plda"


def people_with_several(labels: np.ndarray) -> int:
    """How many people, int (n,), have several photos."""
    return int((np.unique(labels, return_counts=True)[1] > 1).sum())


def confused_share(matrix: np.ndarray, labels: np.ndarray, constants: PlainConstants) -> float:
    """The share of pairs of people (n,) with two photos (n, D) nearer than should be one in 1 / CONFUSING_FAR.

    Of CONFUSED_PEOPLE people CONFUSED_PHOTOS photos each are compared.
    """
    rows = capped_rows(labels, CONFUSED_PHOTOS, np.random.default_rng(0), CONFUSED_PEOPLE)
    matrix = matrix[rows].astype(np.float64)
    people, person = np.unique(labels[rows], return_inverse=True)
    threshold = constants.threshold_for_far(CONFUSING_FAR)
    if constants.measure == "cosine":
        matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    squares = (matrix**2).sum(axis=1)
    near = np.zeros((len(people), len(people)), bool)
    for start in range(0, len(matrix), BLOCK):  # each row with those after it; all at once take gigabytes
        rows = np.s_[start : start + BLOCK]
        products = matrix[rows] @ matrix[start:].T
        if constants.measure == "cosine":
            is_near = products > threshold
        else:
            is_near = squares[rows, None] + squares[start:] - 2 * products < threshold**2
        first, second = np.nonzero(is_near)
        near[person[start + first], person[start + second]] = True
    np.fill_diagonal(near, False)
    return np.triu(near | near.T).sum() / max(1, pairs_of_people(len(people)))


def are_confused(matrix: np.ndarray, labels: np.ndarray, constants: PlainConstants) -> bool:
    """Whether constants of other people do not fit these people (n,), whose features are (n, D)."""
    enough = len(np.unique(labels)) >= MIN_PEOPLE_TO_DOUBT and people_with_several(labels) > 1
    return enough and confused_share(matrix, labels, constants) > MAX_CONFUSED_SHARE


def check_kind(kind: str, extractor: str | None, matrix: np.ndarray, labels: np.ndarray) -> None:
    """Raise InputError unless a head of this kind can be fitted to these features (n, D) of people (n,)."""
    if kind not in PLAIN_KINDS:
        check_trainable(labels)
    elif constants_of(extractor, kind) is None:
        several = people_with_several(labels)
        if several < MIN_PEOPLE_TO_CALIBRATE and not have_unit_length(matrix):
            raise InputError(
                f"what a cosine of these features means is not known: calibrating it takes {MIN_PEOPLE_TO_CALIBRATE} "
                f"people with several photos. Received: {several}. Leave out --head, or use a face network's features "
                "(network.py --backbone sface)"
            )


def check_trainable(labels: np.ndarray) -> None:
    """Raise InputError unless the labels, int (n,), make pairs of both kinds."""
    counts = np.unique(labels, return_counts=True)[1]
    alternative = "features of a face network need no training (network.py --backbone sface or dlib)"
    if len(counts) < 2:
        raise InputError(f"training needs at least two people, to make pairs of different people; {alternative}")
    if counts.max() < 2:
        raise InputError(
            f"training needs a person with at least two images, to make pairs of the same person; {alternative}"
        )
