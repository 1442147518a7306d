"""A similarity head in a file that export.py wrote, computed by OpenVINO."""

import numpy as np

from utils.cli import InputError
from utils.engine import Network


class ExportedSimilarity:
    """A head's function of two feature batches, see NumpySimilarity. Raises InputError for any other network."""

    def __init__(self, network: Network):
        shapes, outputs = network.inputs, network.outputs
        pair = len(shapes) == 2 and shapes[0] == shapes[1] and len(shapes[0]) == 2 and shapes[0][1]
        if not pair or outputs != [(None, 1)]:
            raise InputError(
                f"a similarity head maps two feature batches (n, D) to (n, 1). Received: {shapes} to {outputs}"
            )
        self.dimension: int = shapes[0][1]
        self._network = network

    def project(self, features: np.ndarray) -> np.ndarray:
        """The features themselves: the file computes pairs only."""
        return features

    def score_rows(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See NumpySimilarity.score_rows."""
        return self._network(first, second)[0][:, 0]

    def score_all(self, first: np.ndarray, second: np.ndarray) -> None:
        """None: see `project`."""
