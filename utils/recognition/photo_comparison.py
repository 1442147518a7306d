"""Compare two sides, each a photo or a folder with photos of one person: how likely do they show the same person?"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils import interrupts
from utils.cli import InputError, counted
from utils.faces.alignment import Face, face_chip
from utils.faces.detection import Detector, main_faces
from utils.features.extractor import Extractor
from utils.heads.head import Head
from utils.log_odds import mean_log_odds
from utils.media.images import list_images, read_image


@dataclass(frozen=True)
class PhotoFace:
    """One face in one photo."""

    photo: Path
    face: Face
    chip: np.ndarray  # RGB uint8 (S, S, 3), before it is resized for the extractor


@dataclass(frozen=True)
class Side:
    """The faces of one side of a comparison."""

    path: Path  # a photo or a folder
    candidates: list[list[PhotoFace]]  # each face of a photo is one; a folder has one, the largest face of each photo
    skipped: list[str]  # why photos of a folder were skipped, one message each
    crowded_photos: int  # photos of a folder that show several faces


@dataclass(frozen=True)
class Comparison:
    """The most similar pair of candidates, one from each side."""

    probability: float  # of being the same person, 0-1
    distance: float  # Euclidean, between features; the mean over pairs of photos
    first_faces: list[PhotoFace]  # of the candidate from the first side
    second_faces: list[PhotoFace]  # of the candidate from the second side
    candidate_pairs: int  # that were compared


def load_side(path: Path, detect: Detector) -> Side:
    """Detect the faces in a photo or in the photos of a folder. Raises InputError if there are none."""
    if path.is_dir():
        return _load_folder(path, detect)
    image = read_image(path)
    faces = [PhotoFace(path, face, face_chip(image, face)) for face in detect(image)]
    if not faces:
        raise InputError(f"{path}: no face found")
    return Side(path, [[face] for face in faces], [], 0)


def list_photos(folder: Path) -> list[Path]:
    """List the photos in one person's folder. Raises InputError if there are none, with a hint if it has subfolders."""
    photos = list_images(folder)
    if not photos:
        people = sorted(path for path in folder.iterdir() if path.is_dir() and list_images(path))
        hint = f", only folders with photos: pass a photo, or one person's folder such as {people[0]}" if people else ""
        raise InputError(f"{folder} has no photos{hint}")
    return photos


def _load_folder(folder: Path, detect: Detector) -> Side:
    photos = list_photos(folder)
    largest_faces, skipped, crowded_photos = [], [], 0
    for photo in photos:
        interrupts.check()
        try:
            image = read_image(photo)
        except (InputError, OSError) as exc:
            skipped.append(str(exc))
            continue
        faces = main_faces(detect(image))
        if not faces:
            skipped.append(f"{photo}: no face found")
            continue
        crowded_photos += len(faces) > 1
        largest_faces.append(PhotoFace(photo, faces[0], face_chip(image, faces[0])))
    if not largest_faces:
        raise InputError(f"{folder}: no face found in {counted(len(photos), 'photo')}, {skipped[0]}")
    return Side(folder, [largest_faces], skipped, crowded_photos)


def compare_sides(first: Side, second: Side, extractor: Extractor, head: Head) -> Comparison:
    """Compare each candidate of one side with each of the other, and return the most similar pair."""
    (features_a, owners_a), (features_b, owners_b) = (_embed(side, extractor) for side in (first, second))
    scores = head.score_gallery(features_a, features_b)
    distances = np.linalg.norm(features_a[:, None] - features_b[None], axis=2)
    pairs = [(a, b) for a in range(len(first.candidates)) for b in range(len(second.candidates))]
    blocks = [np.ix_(owners_a == a, owners_b == b) for a, b in pairs]
    probabilities = [mean_log_odds(scores[block]) for block in blocks]
    best = int(np.argmax(probabilities))
    a, b = pairs[best]
    return Comparison(
        probability=probabilities[best],
        distance=float(distances[blocks[best]].mean()),
        first_faces=first.candidates[a],
        second_faces=second.candidates[b],
        candidate_pairs=len(pairs),
    )


def _embed(side: Side, extractor: Extractor) -> tuple[np.ndarray, np.ndarray]:
    """Embed the faces of a side: features (n, D), and the candidate that each face belongs to, int (n,)."""
    features = extractor.embed([face.chip for candidate in side.candidates for face in candidate])
    return features, np.repeat(np.arange(len(side.candidates)), [len(candidate) for candidate in side.candidates])
