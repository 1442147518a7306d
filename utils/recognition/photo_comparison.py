"""Two sides, each a photo or a folder of photos of one person, and how alike their faces are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.cli import InputError
from utils.faces.alignment import Face, face_chip
from utils.faces.detection import Detector, main_faces
from utils.heads.head import Head
from utils.log_odds import mean_log_odds
from utils.media.images import list_images, read_image


@dataclass(frozen=True)
class FoundFace:
    """One face of one photo. chip: RGB uint8 (S, S, 3), as the extractor sees it before it is resized."""

    photo: Path
    face: Face
    chip: np.ndarray


@dataclass(frozen=True)
class Side:
    """What one path shows. candidates: the people that may be meant, each a list of faces.

    A photo has a candidate for every face, a folder one whose faces are the largest of each photo. skipped:
    a text for each photo of a folder that is of no use; crowded: how many of its photos show several faces.
    """

    path: Path
    candidates: list[list[FoundFace]]
    skipped: list[str]
    crowded: int


def find_side(path: Path, detect: Detector) -> Side:
    """Find the faces of a photo or of a folder's photos. Raises InputError where there is none."""
    if path.is_dir():
        return _find_in_folder(path, detect)
    image = read_image(path)
    faces = [FoundFace(path, face, face_chip(image, face)) for face in detect(image)]
    if not faces:
        raise InputError(f"{path}: no face found")
    return Side(path, [[face] for face in faces], [], 0)


def list_photos(folder: Path) -> list[Path]:
    """The photos of one person's folder. Raises InputError where it has none, which says what else it has."""
    photos = list_images(folder)
    if not photos:
        people = sorted(path for path in folder.iterdir() if path.is_dir() and list_images(path))
        hint = f", only folders with photos: give a photo, or one person's folder such as {people[0]}" if people else ""
        raise InputError(f"{folder} has no photos{hint}")
    return photos


def _find_in_folder(folder: Path, detect: Detector) -> Side:
    photos = list_photos(folder)
    found, skipped, crowded = [], [], 0
    for photo in photos:
        try:
            image = read_image(photo)
        except (InputError, OSError) as exc:
            skipped.append(str(exc))
            continue
        faces = main_faces(detect(image))
        if not faces:
            skipped.append(f"{photo}: no face found")
            continue
        crowded += len(faces) > 1
        found.append(FoundFace(photo, faces[0], face_chip(image, faces[0])))
    if not found:
        raise InputError(f"{folder}: no face found in {len(photos)} photos, {skipped[0]}")
    return Side(folder, [found], skipped, crowded)


@dataclass(frozen=True)
class Comparison:
    """The likeliest of a photo's pairs of candidates, or the only one.

    probability: that both are one person, 0-1. distance: Euclidean, of the features, the mean where there are several
    pairs of photos. first, second: the faces that were compared. pairs: of candidates.
    """

    probability: float
    distance: float
    first: list[FoundFace]
    second: list[FoundFace]
    pairs: int


def compare_sides(first: Side, second: Side, extractor, head: Head) -> Comparison:
    """Compare every candidate of one side with every one of the other; the likeliest pair is the answer."""
    (rows_a, owners_a), (rows_b, owners_b) = (_embed(side, extractor) for side in (first, second))
    scores = head.score_gallery(rows_a, rows_b)
    distances = np.linalg.norm(rows_a[:, None] - rows_b[None], axis=2)
    best = None
    for i, a in enumerate(first.candidates):
        for j, b in enumerate(second.candidates):
            block = np.ix_(owners_a == i, owners_b == j)
            probability = mean_log_odds(scores[block])
            if best is None or probability > best.probability:
                best = Comparison(probability, float(distances[block].mean()), a, b, 0)
    pairs = len(first.candidates) * len(second.candidates)
    return Comparison(best.probability, best.distance, best.first, best.second, pairs)


def _embed(side: Side, extractor) -> tuple[np.ndarray, np.ndarray]:
    """The features (n, D) of all faces of a side, and the candidate that each belongs to, int (n,)."""
    rows = extractor.embed([face.chip for faces in side.candidates for face in faces])
    return rows, np.repeat(np.arange(len(side.candidates)), [len(faces) for faces in side.candidates])
