"""How well a rebuilt network agrees with OpenVINO on the file it was rebuilt from."""

import numpy as np

from utils.cli import InputError
from utils.engine import compile_network
from utils.networks.onnx_network import OnnxNetwork

PARITY_IMAGES = 4


def measure_parity(network: OnnxNetwork, seed: int = 0) -> float:
    """The largest difference between the network's features and the file's own, relative to the largest feature.

    The file's own are those of OpenVINO, on noise of several coarsenesses. Raises ValueError if it cannot run it.
    """
    images = parity_images(network.model.input_shape[1], np.random.default_rng(seed))
    expected = run_onnx(network, images)
    actual = np.asarray(network.model.predict_on_batch(images))
    if not (np.isfinite(expected).all() and np.isfinite(actual).all()):
        raise ValueError("gives numbers that are not finite")
    return float(np.abs(actual - expected).max() / max(np.abs(expected).max(), 1e-30))


def parity_images(size: int, rng: np.random.Generator) -> np.ndarray:
    """Noise, RGB uint8 (PARITY_IMAGES, size, size, 3), with grains of 1, 2, 4 and 8 pixels."""
    grains = [2**power for power in range(PARITY_IMAGES)]
    noise = [rng.integers(0, 256, (-(-size // grain),) * 2 + (3,), np.uint8) for grain in grains]
    return np.stack(
        [
            image.repeat(grain, axis=0).repeat(grain, axis=1)[:size, :size]
            for image, grain in zip(noise, grains, strict=True)
        ]
    )


def run_onnx(network: OnnxNetwork, images: np.ndarray) -> np.ndarray:
    """What OpenVINO computes from the file for RGB 0-255 (N, S, S, 3): float32 (N, D). Raises ValueError."""
    values = network.preprocessing.apply(images)
    if network.layout == "nchw":
        values = values.transpose(0, 3, 1, 2)
    index = network.file.outputs.index(network.output)
    try:
        run = compile_network(_readable(network))
        # One by one, since the file may take no more.
        rows = [run(np.ascontiguousarray(value[None], np.float32))[index] for value in values]
    except (InputError, MemoryError) as exc:
        raise ValueError(f"cannot be compared with what OpenVINO computes: {exc}") from None
    return np.stack([np.asarray(row, np.float32).ravel() for row in rows])


def _readable(network: OnnxNetwork) -> bytes:
    """The file's content with the weights unpacked that are quantized by blocks, which OpenVINO does not read."""
    from onnx import ModelProto, numpy_helper

    model = ModelProto.FromString(network.file.data)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        by_blocks = node.op_type == "DequantizeLinear" and any(entry.name == "block_size" for entry in node.attribute)
        if by_blocks and node.output[0] in network.constants:
            model.graph.initializer.append(numpy_helper.from_array(network.constants[node.output[0]], node.output[0]))
        else:
            model.graph.node.append(node)
    return model.SerializeToString()
