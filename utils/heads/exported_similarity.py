"""A similarity head in a file that export.py wrote, computed by OpenVINO."""

import numpy as np

from utils.cli import InputError
from utils.engine import Network, Shape


def pair_dimension(inputs: list[Shape], outputs: list[Shape], note: str = "") -> int:
    """D of a network from two feature batches (n, D) to (n, 1). Raises InputError for any other; note: what to add."""
    pair = len(inputs) == 2 and inputs[0] == inputs[1] and len(inputs[0]) == 2
    if not pair or not inputs[0][1] or outputs != [(None, 1)]:
        raise InputError(
            f"a similarity head maps two feature batches (n, D) to (n, 1){note}. Received: {inputs} to {outputs}"
        )
    return inputs[0][1]


class ExportedSimilarity:
    """A head's function of two feature batches, see NumpySimilarity. Raises InputError for any other network."""

    def __init__(self, network: Network):
        self.dimension = pair_dimension(network.inputs, network.outputs)
        self._network = network

    def project(self, features: np.ndarray) -> np.ndarray:
        """The features themselves: the file computes pairs only."""
        return features

    def score_rows(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """See NumpySimilarity.score_rows."""
        return self._network(first, second)[0][:, 0]

    def score_all(self, first: np.ndarray, second: np.ndarray) -> None:
        """None: see `project`."""
