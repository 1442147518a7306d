"""Compare two sides, each a photo or a folder with photos of one person: how likely do they show the same person?"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils import interrupts
from utils.cli import InputError, counted, describe_error
from utils.faces.alignment import Face, face_chip
from utils.faces.detection import main_faces
from utils.faces.photo_search import PhotoSearch
from utils.features.extractor import Extractor
from utils.heads.head import Head
from utils.log_odds import mean_log_odds
from utils.media.albums import Unread, list_unread
from utils.media.images import list_images, read_image
from utils.recognition.cohort import NormalizedHead
from utils.recognition.face_choice import choose_own_faces

Embed = Callable[[list[np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class PhotoFace:
    """One face in one photo."""

    photo: Path
    face: Face
    chip: np.ndarray  # RGB uint8 (S, S, 3), from which the extractor cuts its input


@dataclass(frozen=True)
class Side:
    """The faces of one side of a comparison."""

    path: Path  # a photo or a folder
    candidates: list[list[PhotoFace]]  # each face of a photo is one; a folder has one, a face of each photo
    skipped: list[str]  # why photos of a folder were skipped, one message each
    crowded_photos: int  # photos of a folder that show several faces
    unsure: list[str] = field(default_factory=list)  # of these, whose main face may be somebody else's; messages
    unread: list[Unread] = field(default_factory=list)  # what a folder holds besides photos


@dataclass(frozen=True)
class Comparison:
    """The most similar pair of candidates, one from each side."""

    probability: float  # of being the same person, 0-1
    distance: float  # Euclidean, between features; the mean over pairs of photos
    first_faces: list[PhotoFace]  # of the candidate from the first side
    second_faces: list[PhotoFace]  # of the candidate from the second side
    candidate_pairs: int  # that were compared
    kind_known: bool | None = None  # whether strangers of the faces' kind are known; None without strangers


def load_side(path: Path, search: PhotoSearch, min_size: int = 1, embed: Embed | None = None) -> Side:
    """Detect the faces in a photo or in the photos of a folder. Raises InputError if there are none.

    Args:
        path: of a photo, whose faces are all candidates, or of a folder with photos of one person.
        search: finds the faces of a photo.
        min_size: pixels; faces with a shorter side below it do not count.
        embed: from a list of chips to features (n, D). With it, a folder's photo with several faces shows
            the person in the face that agrees with the other photos, otherwise in the main one.
    """
    if path.is_dir():
        return _load_folder(path, search, min_size, embed)
    image = read_image(path)
    found = search.search(image)
    faces = [PhotoFace(path, face, face_chip(image, face)) for face in found.large_enough(min_size)]
    if not faces:
        raise InputError(f"{path}: {found.why_none(min_size)}")
    return Side(path, [[face] for face in faces], [], 0)


def list_photos(folder: Path) -> list[Path]:
    """List the photos in one person's folder. Raises InputError if there are none, with a hint if it has subfolders."""
    photos = list_images(folder)
    if not photos:
        people = sorted(path for path in folder.iterdir() if path.is_dir() and list_images(path))
        hint = f", only folders with photos: pass a photo, or one person's folder such as {people[0]}" if people else ""
        raise InputError(f"{folder} has no photos{hint}")
    return photos


def _load_folder(folder: Path, search: PhotoSearch, min_size: int, embed: Embed | None) -> Side:
    photos = list_photos(folder)
    groups: list[list[PhotoFace]] = []  # the main faces of each photo
    skipped = []
    for photo in photos:
        interrupts.check()
        try:
            image = read_image(photo)
        except (InputError, OSError) as exc:
            skipped.append(describe_error(exc))
            continue
        found = search.search(image)
        faces = main_faces(found.large_enough(min_size), found.size_wh)
        if faces:
            groups.append([PhotoFace(photo, face, face_chip(image, face)) for face in faces])
        else:
            skipped.append(f"{photo}: {found.why_none(min_size)}")
    if not groups:
        raise InputError(f"{folder}: no face found in {counted(len(photos), 'photo')}, {skipped[0]}")
    crowded = sum(len(group) > 1 for group in groups)
    choices = _choose_faces(groups, embed) if crowded else [0] * len(groups)
    unsure = [
        f"{group[0].photo}: unsure which of {len(group)} faces is the person's, the main one is used; crop the photo"
        for group, choice in zip(groups, choices, strict=True)
        if choice is None
    ]
    faces_used = [group[choice or 0] for group, choice in zip(groups, choices, strict=True)]
    return Side(folder, [faces_used], skipped, crowded, unsure, list_unread(folder))


def _choose_faces(groups: list[list[PhotoFace]], embed: Embed | None) -> list[int | None]:
    """The person's own face in each photo of a folder; None if it is unsure."""
    if embed is None:
        return [0 if len(group) == 1 else None for group in groups]
    matrix = embed([face.chip for group in groups for face in group])
    return choose_own_faces(np.split(matrix, np.cumsum([len(group) for group in groups])[:-1]))


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
        kind_known=head.knows_kind(features_a[owners_a == a], features_b[owners_b == b])
        if isinstance(head, NormalizedHead)
        else None,
    )


def _embed(side: Side, extractor: Extractor) -> tuple[np.ndarray, np.ndarray]:
    """Embed the faces of a side: features (n, D), and the candidate that each face belongs to, int (n,)."""
    features = extractor.embed([face.chip for candidate in side.candidates for face in candidate])
    return features, np.repeat(np.arange(len(side.candidates)), [len(candidate) for candidate in side.candidates])
