"""Run exported networks as other programs do: each format on its own runtime."""

from pathlib import Path

import numpy as np

from utils.engine import compile_network
from utils.exported import SUFFIXES
from utils.keras_models import quiet_stderr
from utils.telemetry import disable_telemetry

RUNTIMES = {"onnx": "ONNX Runtime", "openvino": "OpenVINO", "litert": "LiteRT"}


def run_exported(path: Path, *inputs: np.ndarray) -> np.ndarray:
    """The output (n, …) for one or two inputs (n, …), float32, of an exported network, which is symmetric in two."""
    suffix = path.suffix.lower()
    if suffix == SUFFIXES["openvino"]:
        return compile_network(path)(*inputs)[0]
    return _run_onnx(path, inputs) if suffix == SUFFIXES["onnx"] else _run_litert(path, inputs)


def _run_onnx(path: Path, inputs: tuple[np.ndarray, ...]) -> np.ndarray:
    disable_telemetry()  # before the import, and also where no script has done it
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors are exceptions, too
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))[0]


def _run_litert(path: Path, inputs: tuple[np.ndarray, ...]) -> np.ndarray:
    with quiet_stderr():
        from ai_edge_litert.interpreter import Interpreter

        run = Interpreter(model_path=str(path)).get_signature_runner()
        return next(iter(run(**dict(zip(run.get_input_details(), inputs, strict=True))).values()))
