"""How many measured people are found among very many made ones: DIR at FAR 1 % by evaluate.py's protocol."""

import tempfile
from pathlib import Path

import numpy as np
from made_people import Maker, photo_counts

from utils.evaluation.identification import Trials, WatchlistLimits, identification_rates, sample_watchlist
from utils.features.feature_files import FeatureSet, empty_features
from utils.features.packed import GALLERY, PackedGallery
from utils.features.stored_people import StoredPeople
from utils.heads.head import Head
from utils.recognition.gallery import Gallery
from utils.recognition.large_gallery import LargeGallery

LIMITS = WatchlistLimits(people=1000, strangers=1000, photos=5)  # measured; photos of each
PHOTOS = 5  # of a made person, on average
FAR = 0.01


def measure_open_set(
    features: FeatureSet, head: Head, people: int, rng: np.random.Generator, scratch: Path | None
) -> dict:
    """DIR at FAR 1 % of measured people, alone and among made ones, who are made of other measured people."""
    watchlist = sample_watchlist(features.labels, np.arange(len(features.labels)), LIMITS, rng)
    used = features.labels[np.concatenate([watchlist.gallery, watchlist.strangers])]
    free = ~np.isin(features.labels, used)
    maker = Maker.measure(features.matrix[free], features.labels[free])
    enrolled = features.matrix[watchlist.gallery]
    names = [f"enrolled {index}" for index in range(watchlist.people)]
    probes, strangers = features.matrix[watchlist.probes], features.matrix[watchlist.strangers]
    alone = Gallery(
        FeatureSet(enrolled, np.repeat(np.arange(len(names)), watchlist.counts), names, None),
        head,
        None,
        head.min_votes,
    )
    counts = photo_counts(PHOTOS * people, people, rng)
    means = np.array_split(maker.people(people, rng), 20)
    parts = zip(means, np.array_split(counts, 20), strict=True)
    rows = np.concatenate([enrolled, *(maker.photos(np.repeat(part, count, axis=0), rng) for part, count in parts)])
    ends = np.cumsum(np.r_[watchlist.counts, counts])
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        (Path(folder) / GALLERY).mkdir()
        everyone = [*names, *(f"made {index}" for index in range(people))]
        packed = PackedGallery(Path(folder), "open", rows, everyone, ends, None, {}, [None] * len(everyone))
        nobody = empty_features(rows.shape[1], features.extractor)
        stored = StoredPeople(Path(folder), packed, {}, set())
        among = LargeGallery(stored, nobody, head, None, head.min_votes)
        results = {
            "alone": rates(alone, probes, strangers, names),
            "among_made": rates(among, probes, strangers, names),
        }
    return {"people": len(names), "strangers": len(strangers), "made_people": people, "rows": len(rows)} | results


def rates(gallery: Gallery, probes: np.ndarray, strangers: np.ndarray, names: list[str]) -> dict[str, float | None]:
    """The rates of a gallery: probes (p, D) of the people with these names, and of strangers (s, D)."""
    best = [best_person(gallery, face) for face in np.concatenate([probes, strangers])]
    scores = np.array([score for _, score in best], np.float32)
    is_right = np.array([name == own for (name, _), own in zip(best, names, strict=False)])
    trials = Trials(scores[: len(names)], is_right, scores[len(names) :, None])
    counts = [(np.ones(len(strangers), int), np.ones(len(names), int))]
    found = identification_rates(trials, gallery.threshold, counts)
    return {
        "rank1": found["rank1"][0],
        "dir_at_far_0.01": found[FAR][0],
        "threshold": gallery.threshold,
        "named_right": found["right"][0],
        "named_wrong": found["wrong"][0],
        "strangers_named": found["strangers"][0],
    }


def best_person(gallery: Gallery, face: np.ndarray) -> tuple[str, float]:
    """The best person for a face (D,), and the score."""
    gallery.admit(face[None])
    scores = gallery.scores(face[None])[0]
    return gallery.names[scores.argmax()], float(scores.max())
