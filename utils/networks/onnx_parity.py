"""How well a rebuilt network agrees with ONNX Runtime on the file it was rebuilt from."""

import numpy as np

from utils.networks.onnx_file import first_line
from utils.networks.onnx_network import OnnxNetwork
from utils.telemetry import disable_telemetry

PARITY_IMAGES = 4


def measure_parity(network: OnnxNetwork, seed: int = 0) -> float:
    """The largest difference between the network's features and the file's own, relative to the largest feature.

    The file's own are those of ONNX Runtime, on noise of several coarsenesses. Raises ValueError if it cannot run it.
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
    """What ONNX Runtime computes from the file for RGB 0-255 (N, S, S, 3): float32 (N, D). Raises ValueError."""
    disable_telemetry()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors are exceptions, too
    values = network.preprocessing.apply(images)
    if network.layout == "nchw":
        values = values.transpose(0, 3, 1, 2)
    try:
        session = onnxruntime.InferenceSession(network.file.data, options, providers=["CPUExecutionProvider"])
        kind = np.float16 if session.get_inputs()[0].type == "tensor(float16)" else np.float32
        rows = [
            session.run([network.output], {network.file.input_name: np.ascontiguousarray(value[None], kind)})[0]
            for value in values  # one by one, since the file may take no more
        ]
    except Exception as exc:  # its exceptions share no base class but Exception
        raise ValueError(f"cannot be run by ONNX Runtime to compare with: {first_line(exc)}") from None
    return np.stack([np.asarray(row, np.float32).ravel() for row in rows])
