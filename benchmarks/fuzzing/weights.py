"""The weights of dlib's network."""

import functools
import random
import shutil
from pathlib import Path

import numpy as np

from fuzzing import mutations
from fuzzing.target import check


def weights_seeds(folder: Path) -> None:
    from utils.networks.dlib_network import find_dlib_weights

    shutil.copy(find_dlib_weights(), folder / "weights.dat")


def read_weights(data: bytes, folder: Path) -> None:
    from utils.networks.dlib_network import read_dlib_weights

    weights = read_dlib_weights(data)
    arrays = [*weights.kernels, *weights.biases, *weights.gammas, *weights.betas, weights.dense, weights.mean_rgb]
    check(len(arrays) == 4 * 29 + 2, "odd number of arrays")
    check(all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays), "odd numbers")


@functools.lru_cache(maxsize=1)
def _weight_tokens(data: bytes) -> list[tuple[int, int]]:
    """(start, end) of everything that the reader reads in a valid file."""
    from utils.networks import dlib_network

    tokens = []

    class Recorder(dlib_network._Stream):
        def read(self, count: int) -> bytes:
            tokens.append((self.position, self.position + count))
            return super().read(count)

    original, dlib_network._Stream = dlib_network._Stream, Recorder
    try:
        dlib_network.read_dlib_weights(data)
    finally:
        dlib_network._Stream = original
    return tokens


def mutate_weights(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Alter the file where it is not weights: integers in dlib's form, names, flags; some weights, too."""
    tokens = _weight_tokens(data)
    out = data
    for _ in range(rng.randint(1, 3)):
        index = rng.randrange(len(tokens)) if rng.random() < 0.7 else rng.randrange(60)
        start, end = tokens[index]
        kind, number = rng.randrange(7), abs(rng.choice(mutations.INTERESTING))
        if kind == 0:
            size = rng.randint(1, 8)
            part = bytes([size | rng.choice((0, 0, 0x80))]) + (number % (1 << 8 * size)).to_bytes(size, "little")
        elif kind == 1:
            part = mutations.interesting_bytes(rng)
        elif kind == 2:
            part = b""
        elif kind == 3:
            part = out[start:end][:100] * 2
        elif kind == 4:
            part = mutations.mutate_bytes(out[start : min(end, start + 200)], [data[:4000]], rng)
        elif kind == 5:  # numbers that are none, in the middle of the weights
            part = rng.choice((b"\0\0\x80\x7f", b"\0\0\xc0\x7f", b"\xff\xff\x7f\x7f"))
            end = start + 4
        else:
            other = tokens[rng.randrange(len(tokens))]
            part = data[other[0] : min(other[1], other[0] + 200)]
        out = out[:start] + part + out[end:]
    return out
