"""Faces to quantize an extractor on, and to compare the exported one with Keras on: the user's own, or drawn ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from utils.cli import InputError, counted, describe_error, summarize, warn
from utils.media.albums import read_album
from utils.media.images import read_image
from utils.synthetic.identity import sample_identity, sample_shot
from utils.synthetic.portrait import draw_background, draw_on

Cut = Callable[[np.ndarray], np.ndarray]  # an extractor's input (S, S, 3) out of a picture
MAX_CALIBRATION = 300  # faces; with more, the ranges of an extractor hardly change
COMPARED = 32  # faces
DRAWN_SIZE, DRAWN_CENTER, DRAWN_HEIGHT = 160, (80, 84), 130  # pixels: a drawn face that fills its picture


def sample_faces(
    folder: Path, count: int, cut: Callable[[np.ndarray], np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Inputs of an extractor, float32 (n, S, S, 3), n ≤ count, from a folder of person folders, drawn at random.

    Pictures that cannot be read are left out with a warning. Raises InputError if there is no other.
    """
    photos = read_album(folder).photos
    inputs: list[np.ndarray] = []
    unread = []
    for index in rng.permutation(len(photos)):
        try:
            inputs.append(cut(read_image(photos[index])))
        except (InputError, OSError) as exc:
            unread.append(describe_error(exc))
        if len(inputs) == count:
            break
    if not inputs:
        raise InputError(f"{folder} holds no picture of a face that can be read{f': {unread[0]}' if unread else ''}")
    if unread:
        warn(f"{counted(len(unread), 'picture')} left out:\n{summarize(unread, limit=len(unread))}")
    return np.stack(inputs).astype(np.float32)


def draw_faces(count: int, cut: Cut, rng: np.random.Generator) -> np.ndarray:
    """Inputs of an extractor, float32 (count, S, S, 3), that show drawn people."""
    pictures = []
    for number in range(count):
        picture = draw_background(rng, (DRAWN_SIZE, DRAWN_SIZE))
        draw_on(picture, sample_identity(number), sample_shot(rng), DRAWN_CENTER, DRAWN_HEIGHT)
        pictures.append(cut(picture))
    return np.stack(pictures).astype(np.float32)
