"""Read a pickled feature matrix with an unpickler that accepts numpy arrays and nothing else."""

import io
import pickle
from typing import Any, Literal

import numpy as np

# Replaces the class numpy.ndarray. A pickle may name it but not call it, because it could ask for any size.
_NDARRAY = object()


def unpickle_matrix(data: bytes) -> np.ndarray:
    """Load a float32 (n, D) matrix from a pickle of any protocol. Raises ValueError for anything else."""
    try:
        array = _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()  # Python 2 strings are bytes
    except ValueError:
        raise
    except Exception as exc:  # damaged pickles raise nearly anything
        raise ValueError(f"not a feature matrix: {type(exc).__name__}: {exc}") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind != "f" or not array.size:
        shape = getattr(array, "shape", None)
        raise ValueError(f"expected a matrix (n, D) of floats. Received: {type(array).__name__} {shape}")
    if not np.isfinite(array).all():
        raise ValueError("the feature matrix holds numbers that are not finite")
    return np.ascontiguousarray(array, np.float32)


def _empty_array(kind: object, shape: tuple, code: object) -> np.ndarray:
    """Replaces numpy's `_reconstruct`. Genuine pickles ask for an empty array and then fill it."""
    if kind is not _NDARRAY or shape != (0,):
        raise ValueError("not a feature matrix: unexpected array")
    return np.empty(0, np.int8)


def _array_from_buffer(buffer: Any, dtype: np.dtype, shape: tuple, order: Literal["C", "F"]) -> np.ndarray:
    """Replaces numpy's `_frombuffer`, which pickles of protocol 5 call."""
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """Replaces `_codecs.encode`, with which Python 3 writes bytes into protocol 2."""
    if encoding != "latin1":
        raise ValueError("not a feature matrix: unexpected encoding")
    return text.encode("latin1")


_ALLOWED_NAMES = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1_bytes,
    # numpy 1 and 2 have different module names.
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.numeric", "_frombuffer"): _array_from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _array_from_buffer,
}


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler that can build numpy arrays only."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED_NAMES:
            raise ValueError(f"refused: the pickle asks for {module}.{name}, which no feature matrix needs")
        return _ALLOWED_NAMES[module, name]
