"""A reader and how to try it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fuzzing.mutations import Mutation
from utils.cli import InputError

MATRIX = np.array([[1.5, -2.25, 3.0], [0.5, 100.0, -7.0]], np.float32)
MAX_MESSAGE = 1000  # characters of a refusal, which becomes one line
EXTRACTOR = "tiny-3-0123456789abcdef"


class InvalidValueError(Exception):
    """A reader returned something that it must not return."""


def check(condition: object, text: str) -> None:
    if not condition:
        raise InvalidValueError(text)


@dataclass(frozen=True)
class Target:
    """A reader and how to try it."""

    read: Callable[[bytes, Path], object]  # calls it on a file's content and checks what it returns; gets a folder
    seeds: Callable[[Path], object]  # writes valid files into a folder
    mutate: Mutation
    refusals: tuple[type[Exception], ...] = (InputError,)  # what the reader may raise
    seconds: float = 5.0  # of CPU for one input
    megabytes: int = 256  # of memory for one input
    rounds: int = 5000  # inputs until a fresh process takes over, so that what leaks is not taken for a bomb
    warm_up: Callable[[], object] = lambda: None  # imports what would count as the first input's memory
