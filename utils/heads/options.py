"""The kinds of heads and the settings of a training run, light enough to import before arguments are parsed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utils.features.normalization import Normalization

PLAIN_KINDS = ("cosine", "distance")  # a measure of the features, with constants; nothing is trained
HEAD_KINDS = ("plda", "dense", *PLAIN_KINDS)


@dataclass(frozen=True)
class TrainingOptions:
    """How to fit a head. The defaults are those of train.py and evaluate.py, except the kind, theirs is "auto"."""

    head: str = "plda"  # one of HEAD_KINDS; "auto" for the one that suits the data
    extractor: str | None = None  # fingerprint of the features' extractor, which plain heads have constants for
    epochs: int = 15  # at most
    learning_curve: bool = True  # plda heads: whether each epoch is measured, which changes nothing that is learned
    holdout: float = 0.2  # share of the people kept for calibration and measuring, 0-0.9
    far: float = 0.001  # false accept rate to choose the threshold for
    learning_rate: float | None = None  # Adam's; None for the default of the kind of head
    negatives: float = 1.5  # dense heads: different-person pairs per same-person pair
    batch_size: int | None = None  # dense heads: pairs a step; None for a fiftieth of all pairs
    patience: int = 4  # dense heads: epochs without progress before training stops
    devices: tuple[str, ...] = ()  # Keras' names of those that share the training; () or one: not shared
    normalization: "Normalization | None" = None  # dense heads: statistics to build into the head
