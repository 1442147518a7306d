"""The decisions of a packed gallery whose every row is compared with a face, which those of an index should equal."""

import numpy as np

from utils.features.packed import PackedGallery
from utils.heads.head import Head
from utils.recognition.cohort import Cohort, subtract_excess
from utils.recognition.gallery import Gallery, person_scores

BLOCK = 20_000  # rows that are compared with a few faces at once
PROBES_AT_ONCE = 50
BEST = 5  # people of whom the recall is measured
NORMALIZED = 32  # people, the best without strangers, of whom the best with strangers is one


def name_exactly(
    gallery: Gallery, packed: PackedGallery, probes: np.ndarray
) -> tuple[list[str | None], list[set[str]]]:
    """The names of faces (f, D) by comparing them with every row, and the BEST people of each, without strangers."""
    scores = np.concatenate(
        [
            exact_scores(gallery, packed, part)
            for part in np.split(probes, range(PROBES_AT_ONCE, len(probes), PROBES_AT_ONCE))
        ]
    )
    order = np.argsort(-scores, axis=1, kind="stable")[:, :NORMALIZED]
    best = [{packed.names[place] for place in row[:BEST]} for row in order]
    decisions = []
    for probe, places, row in zip(probes, order, scores, strict=True):
        people = row[places]
        if len(gallery.strangers) and gallery.head.knows_impostors:
            people = normalized_scores(gallery, packed, probe, places)
        place = int(people.argmax())
        decisions.append(packed.names[places[place]] if people[place] > gallery.threshold else None)
    return decisions, best


def exact_scores(gallery: Gallery, packed: PackedGallery, probes: np.ndarray) -> np.ndarray:
    """The scores of all people, float32 (f, p), without strangers, block by block."""
    head, ends = gallery.head, packed.row_ends
    projected, found, start, first = head.project(probes), [], 0, 0
    while first < len(ends):
        last = max(first + 1, int(np.searchsorted(ends, start + BLOCK, side="right")))
        block = head.project(packed.rows[start : ends[last - 1]])
        found.append(person_scores(head.score_projected(projected, block), ends[first:last] - start, gallery.min_votes))
        start, first = int(ends[last - 1]), last
    return np.concatenate(found, axis=1)


def normalized_scores(gallery: Gallery, packed: PackedGallery, probe: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The scores of some people for a face (D,), float32 (p,), with all strangers and all others as the cohort."""
    head = gallery.head
    firsts = head.project(packed.rows[np.r_[0, packed.row_ends[:-1]]])
    cohort = Cohort(head, len(gallery.strangers) + len(firsts) - 1)
    rows = [packed.rows[packed.rows_of(place)] for place in places]
    owners = np.repeat(np.arange(len(places)), [len(part) for part in rows])
    faces = head.project(np.concatenate([probe[None], *rows]))
    excess = np.concatenate(
        [excess_of(head, cohort, face, firsts, gallery.strangers)[:, places] for face in faces[:, None]]
    )
    scores = head.score_projected(faces[:1], faces[1:])
    own = excess[1:][np.arange(len(owners)), owners]
    return person_scores(
        subtract_excess(scores, excess[:1, owners], own), np.cumsum(np.bincount(owners)), gallery.min_votes
    )[0]


def excess_of(head: Head, cohort: Cohort, face: np.ndarray, firsts: np.ndarray, strangers: np.ndarray) -> np.ndarray:
    """The excess of a face by candidate, float64 (1, p)."""
    scores = head.score_projected(face, head.project(strangers)), head.score_projected(face, firsts)
    return cohort.excess_by_candidate(*scores)
