"""The faces of photos, and the people of a gallery whom each resembles most."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils import interrupts
from utils.cli import InputError, describe_error
from utils.faces.alignment import face_chip
from utils.faces.photo_search import PhotoSearch
from utils.features.extractor import Extractor
from utils.finding.sightings import Sighting
from utils.live.loops import show_progress
from utils.media.albums import Unread
from utils.media.images import read_image
from utils.media.sources import PhotoSource, is_address
from utils.recognition.cohort import is_kind_known
from utils.recognition.gallery import Gallery
from utils.recognition.large_gallery import CANDIDATES


@dataclass
class FoundFace:
    """One face of a photo, and what is known about it."""

    box: tuple[int, int, int, int]  # x, y, w, h in pixels, inside the photo
    embedding: np.ndarray  # float32 (D,)
    name: str | None = None  # None for unknown, and without a gallery
    people: list[tuple[str, float]] = field(default_factory=list)  # the best names with their probabilities, best first
    kind_known: bool | None = None  # whether strangers of the face's kind are known; None without strangers
    seen: list[Sighting] = field(default_factory=list)  # where and when, oldest first


@dataclass(frozen=True)
class FoundPhoto:
    """One photo that could be read."""

    path: Path
    faces: list[FoundFace]
    reason: str = ""  # why it has no faces


def list_photos(paths: Sequence[Path]) -> tuple[list[Path], list[Unread]]:
    """The photos among paths of photos and of folders, and what else the folders hold.

    Raises InputError for a path that does not exist, is no file, or is a folder without photos.
    """
    if any(map(is_address, paths)):  # not repeated, because it may hold a password
        raise InputError("expected photos and folders. Received: an address")
    sources = [PhotoSource(path) for path in paths]
    photos = dict.fromkeys(photo for source in sources for photo in source.paths)  # each once
    return list(photos), [item for source in sources for item in source.unread]


def read_photos(
    paths: Sequence[Path], search: PhotoSearch, min_size: int, extractor: Extractor
) -> tuple[list[FoundPhoto], list[str]]:
    """Find and embed the faces of photos. Returns "path: reason" of those that cannot be read, too.

    Raises InputError if none can be read.
    """
    photos, unreadable = [], []
    for path in show_progress(paths, True, "photo"):
        interrupts.check()
        try:
            photos.append(find_faces(path, search, min_size, extractor))
        except (InputError, OSError) as exc:
            unreadable.append(describe_error(exc))
    if not photos:
        raise InputError(f"{unreadable[0]} (and {len(paths) - 1} more)" if paths[1:] else unreadable[0])
    return photos, unreadable


def find_faces(path: Path, search: PhotoSearch, min_size: int, extractor: Extractor) -> FoundPhoto:
    """Find and embed the faces of a photo, best first. Raises InputError or OSError if it cannot be read.

    min_size: pixels; faces with a shorter side below it do not count.
    """
    image = read_image(path)
    found = search.search(image)
    faces = found.large_enough(min_size)
    embeddings = extractor.embed([face_chip(image, face) for face in faces])
    return FoundPhoto(
        path,
        [FoundFace(face.box, embedding) for face, embedding in zip(faces, embeddings, strict=True)],
        "" if faces else found.why_none(min_size),
    )


def name_faces(faces: Sequence[FoundFace], gallery: Gallery, top: int) -> None:
    """Set names, kinds and the best `top` people of the faces of one photo. The decision is that of test.py."""
    if not faces:
        return
    embeddings = np.stack([face.embedding for face in faces])
    gallery.admit(embeddings, count=max(top, CANDIDATES))  # with fewer, other names would be given
    scores, familiarity = gallery.compare(embeddings)
    for row, (face, decision) in enumerate(zip(faces, gallery.decide(scores), strict=True)):
        best = np.argsort(-scores[row], kind="stable")[:top]
        face.name, face.kind_known = decision.name, is_kind_known(familiarity[row : row + 1])
        face.people = [(gallery.names[person], float(scores[row, person])) for person in best]
