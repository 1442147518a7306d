"""The best rows of a large gallery for a face, by FAISS: candidates, whose people the head then scores exactly.

A head's log odds are an inner product (NumpySimilarity.product_vectors), so the search ranks by the head itself. Each
row is kept as 4-bit codes of its parts, and all codes are looked through: 1.8 ms for a million rows of 128 features.
That beats an inverted file here: features of faces have no clusters. Of a million rows, 4,096 lists and 64 probed
lists (1-3 ms) found the best row of 45-62 % of the enrolled faces, the codes of 100 %.

An index belongs to one head and one generation of the packed gallery, and lies in its folder. It may be deleted.
"""

import hashlib
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from utils.cli import InputError, warn
from utils.features.packed import PackedGallery
from utils.files import write_bytes
from utils.heads.head import Head
from utils.heads.numpy_similarity import NumpySimilarity

FORMAT = 1  # raised when what is written changes
PART = 2  # dimensions in one code. With 4, the best 256 rows hold 92 % of the true best 10, with 2 more than 99 %
MIN_PARTS, MAX_PARTS = 50, 256  # codes of a row; of fewer or more dimensions, fewer or more go into one code
MAX_PLAIN = 20_000  # rows that are compared as they are, without codes
SAMPLE = 20_000  # rows from which the codes are learned
MANY = 8  # faces that are searched by all cores
BLOCK = 1 << 16  # rows in memory at once while an index is made
DIGEST = 32  # bytes of a SHA-256


class RowIndex:
    """Finds the rows of a matrix that a head scores highest."""

    def __init__(self, head: Head, index: Any):
        """index: of FAISS."""
        self.head, self._index = head, index

    def search(self, probes: np.ndarray, count: int) -> np.ndarray:
        """The numbers of about the best `count` rows for each face (f, D), int64 (f, count), best first, then −1."""
        # More threads, which spin for a while on the cores that the networks need, are worth it for many faces only.
        _import_faiss().omp_set_num_threads(1 if len(probes) < MANY else os.cpu_count() or 1)
        return self._index.search(_vectors(self.head, probes, gallery=False), count)[1]


def _import_faiss():
    try:
        import faiss
    except ImportError:
        raise InputError(
            "so large a packed gallery is searched by FAISS, which is not installed: "
            "`pip install -r requirements-cluster.txt`"
        ) from None
    return faiss


def product_head(head: Head) -> NumpySimilarity | None:
    """The head's function if the search ranks by it; None if cosine takes its place."""
    similarity = head.similarity
    return similarity if isinstance(similarity, NumpySimilarity) and similarity.measure != "difference" else None


def _vectors(head: Head, features: np.ndarray, gallery: bool) -> np.ndarray:
    """What the index holds of rows, or compares it with: float32 (n, F), F a multiple of the dimensions of a code."""
    similarity = product_head(head)
    if similarity:
        vectors = similarity.product_vectors(head.project(features), gallery)
    else:
        vectors = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    padding = -vectors.shape[1] % _part(vectors.shape[1])
    return np.ascontiguousarray(np.pad(vectors, ((0, 0), (0, padding))), np.float32)


def _part(dimension: int) -> int:
    return max(PART if dimension >= PART * MIN_PARTS else 1, -(-dimension // MAX_PARTS))


def make_index(head: Head, matrix: np.ndarray, rows: np.ndarray) -> RowIndex:
    """Index rows, int (n,), of features (m, D), which may be memory-mapped. The index numbers them from 0."""
    faiss = _import_faiss()
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    width = _vectors(head, matrix[:1], gallery=True).shape[1]
    if len(rows) <= MAX_PLAIN:
        index = faiss.IndexFlatIP(width)
    else:
        index = faiss.IndexPQFastScan(width, width // _part(width), 4, faiss.METRIC_INNER_PRODUCT)
        sample = np.sort(np.random.default_rng(0).choice(rows, SAMPLE, replace=False))
        index.train(_vectors(head, matrix[sample], gallery=True))
    for start in range(0, len(rows), BLOCK):
        index.add(_vectors(head, matrix[rows[start : start + BLOCK]], gallery=True))
    return RowIndex(head, index)


def load_index(packed: PackedGallery, head: Head, kind: str, rows: np.ndarray) -> RowIndex:
    """The stored index of rows, int (n,), of a packed gallery, called `kind`. It is made if there is none that fits."""
    path = packed.file(f"{kind}-{_head_digest(head)}-", ".faiss")
    index = _read(path, len(rows))
    if index is not None:
        return RowIndex(head, index)
    reason = "again, because it is damaged" if path.is_file() else "for this head, once"
    print(f"note: making {path} {reason}", file=sys.stderr)
    made = make_index(head, packed.rows, rows)
    for other in path.parent.glob(f"{kind}-*.faiss"):  # of other heads
        with suppress(OSError):
            other.unlink()
    data = _import_faiss().serialize_index(made._index).tobytes()
    try:
        write_bytes(path, hashlib.sha256(data).digest() + data, private=True)
    except OSError as exc:
        warn(f"{path} cannot be written, so every run has to make it: {exc.strerror}")
    return made


def _read(path: Path, rows: int) -> Any:
    """The index in a file, None if there is none or a damaged one."""
    faiss = _import_faiss()
    with suppress(OSError, RuntimeError):
        data = path.read_bytes()
        if hashlib.sha256(data[DIGEST:]).digest() == data[:DIGEST]:
            index = faiss.deserialize_index(np.frombuffer(data, np.uint8)[DIGEST:])
            return index if index.ntotal == rows else None
    return None


def _head_digest(head: Head) -> str:
    """What tells a head's index from another's."""
    similarity, digest = product_head(head), hashlib.sha256(bytes([FORMAT]))
    if similarity:
        digest.update(f"{similarity.measure} {np.sign(similarity.scale)}".encode())
        digest.update(similarity.projection.tobytes() + similarity.weights.tobytes())
    return digest.hexdigest()[:16]
