"""Packed galleries of people who do not exist, and heads to compare them."""

from pathlib import Path

import numpy as np

from utils.features.feature_files import FeatureSet
from utils.features.packed import PackedGallery
from utils.features.stored_people import StoredPeople
from utils.heads.head import Head
from utils.heads.numpy_similarity import NumpySimilarity
from utils.heads.plda import fit_plda

DIMENSION = 16
# A head's rates of false accepts, by threshold.
TABLE = {
    "far": 1e-3,
    "threshold": 0.5,
    "min_votes": None,
    "thresholds": [[1e-5, 0.9], [1e-4, 0.7], [1e-3, 0.5], [0.1, 0.01]],
}


def make_people(people: int, seed: int = 0) -> FeatureSet:
    """One to nine photos each, some as like as brothers."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 10, people)
    centers = rng.normal(size=(people, DIMENSION))
    centers[1::10] = centers[0::10] + 0.4 * rng.normal(size=centers[1::10].shape)
    labels = np.repeat(np.arange(people), counts)
    matrix = centers[labels] + 0.3 * rng.normal(size=(len(labels), DIMENSION))
    return FeatureSet(matrix.astype(np.float32), labels, [f"p{index:05}" for index in range(people)], "one-16-a")


def make_head(measure: str, features: FeatureSet) -> Head:
    """A head of this measure, whose scores are neither all 0 nor all 1."""
    if measure == "product":
        plda = fit_plda(features.matrix, features.labels)
        projection = np.vstack([plda.projection, -plda.mean @ plda.projection]).astype(np.float32)
        weights = np.r_[plda.square_weights, plda.constant / 2].astype(np.float32)
        return Head(NumpySimilarity("product", DIMENSION, 0.5, -4.0, projection, weights), TABLE)
    scale, offset = {"cosine": (16.0, -12.0), "distance": (-4.0, 8.0), "difference": (-1.0, 8.0)}[measure]
    weights = np.ones(DIMENSION, np.float32) if measure == "difference" else np.empty(0, np.float32)
    return Head(NumpySimilarity(measure, DIMENSION, scale, offset, weights=weights), TABLE)


def pack_features(folder: Path, features: FeatureSet, changed: tuple[str, ...] = ()) -> StoredPeople:
    """A packed gallery in memory. changed: who is not read from it any more."""
    (folder / "_gallery").mkdir(exist_ok=True)
    names, ends = features.names, np.cumsum(np.bincount(features.labels))
    packed = PackedGallery(folder, "1", features.matrix, names, ends, features.extractor, {}, [None] * len(names))
    return StoredPeople(folder, packed, {}, set(changed))
