"""Run networks on OpenVINO, which needs neither Keras nor TensorFlow, and is faster than both on a processor."""

import contextlib
import ctypes.util
import functools
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from utils import interrupts
from utils.cli import InputError
from utils.files import sha256, write_bytes
from utils.model_file import short_reason
from utils.telemetry import disable_telemetry
from utils.threads import core_limit

if TYPE_CHECKING:
    import openvino

# OpenVINO's names of the number types. Without one it takes bfloat16 wherever the processor has it.
HINTS = {"float32": "f32", "bfloat16": "bf16"}
# Not needed to run a network. It takes half the time of OpenVINO's import, and reports it.
CONVERTER = "openvino.tools.ovc"
_IMPORT = threading.Lock()
DEVICES = Path("/dev")  # where Linux lists graphics cards
DIGEST = 64  # characters of a SHA-256

MAX_KEPT = 16  # compiled networks; RetinaFace's have 2 MB each, and there is one for each size of frames

Shape = tuple[int | None, ...]  # None where any length will do
Prepare = Callable[["openvino.Model"], "openvino.Model"]


def is_installed() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def choose_engine(engine: str, devices: Path = DEVICES) -> str:
    """The engine to compute on, "openvino" or "keras", for one of `utils.cli.ENGINES`.

    auto: Keras with a graphics card, or with a backend that the user has chosen, else OpenVINO if it is installed.
    Raises InputError if `engine` is not installed.
    """
    if engine == "openvino" and not is_installed():
        raise InputError("--engine openvino: OpenVINO is not installed: `pip install -r requirements.txt` installs it")
    if engine != "auto":
        return engine
    return "openvino" if is_installed() and "KERAS_BACKEND" not in os.environ and not has_gpu(devices) else "keras"


def has_gpu(devices: Path = DEVICES) -> bool:
    """Whether Keras can compute on an NVIDIA graphics card, the only kind that TensorFlow's package supports.

    Found without TensorFlow, which would take seconds to load. TensorFlow supports them on Linux only.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0") not in ("", "-1") and any(devices.glob("nvidia[0-9]*"))
    return visible and _has_cudnn()


def _has_cudnn() -> bool:
    """Whether NVIDIA's library is installed, by pip or in the system: without it TensorFlow leaves the card alone."""
    try:
        found = importlib.util.find_spec("nvidia.cudnn") is not None
    except ModuleNotFoundError:  # there is no package of NVIDIA's at all
        found = False
    return found or ctypes.util.find_library("cudnn") is not None


def import_openvino() -> ModuleType:
    """Import OpenVINO without its converter. Raises ModuleNotFoundError."""
    disable_telemetry()  # also where no script has done it
    with _IMPORT:  # networks are loaded in several threads
        if "openvino" not in sys.modules:
            sys.modules[CONVERTER] = None  # type: ignore[assignment]
            try:
                import openvino
            finally:
                del sys.modules[CONVERTER]
            # Its first use fills a table in C++. Two threads that run their first network would both fill it, one
            # waiting for the other's lock and the other for Python's, forever.
            openvino.Type.f32.to_dtype()
    return sys.modules["openvino"]


def import_converter() -> None:
    """Complete OpenVINO with its converter, which Keras' export needs."""
    openvino = import_openvino()
    from openvino.tools.ovc import convert_model

    openvino.convert_model = convert_model  # type: ignore[attr-defined]


@functools.cache
def _core() -> "openvino.Core":
    return import_openvino().Core()


class Network:
    """A network that is ready to run. Several threads may call it at once."""

    def __init__(self, compiled: "openvino.CompiledModel", weights: np.ndarray | None):
        # Shapes of the inputs and the outputs, in their order in the file.
        self.inputs, self.outputs = ([_shape(port) for port in side] for side in (compiled.inputs, compiled.outputs))
        self._compiled = compiled
        self._weights = weights  # in memory, where OpenVINO may still read them
        self._own = threading.local()  # a request holds the results of one computation

    @interrupts.deferred()
    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs for these inputs. Their types are converted. Raises MemoryError."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        try:
            # Without share_outputs the results are copies, which the next call leaves alone.
            return list(self._own.request.infer(list(inputs), share_inputs=True).values())
        except RuntimeError as exc:  # with a valid network and valid inputs, only memory can be missing
            raise MemoryError(f"the network cannot be run: {short_reason(exc)}") from None

    def export(self) -> bytes:
        """The compiled network, for OpenVINO's `import_model`."""
        return self._compiled.export_model().getvalue()


def _shape(port: "openvino.ConstOutput") -> Shape:
    return tuple(length.get_length() if length.is_static else None for length in port.partial_shape)


@interrupts.deferred()
def compile_network(
    model: Path | bytes | tuple[bytes, np.ndarray],
    precision: str = "float32",
    callers: int = 1,
    prepare: Prepare | None = None,
) -> Network:
    """Load a network into OpenVINO, to run on the processor. Raises InputError for a file that is no network.

    Args:
        model: An ONNX file or an OpenVINO `.xml` file, the content of an ONNX file, or that of an `.xml` file and of
            a `.bin` file, uint8 (n,), which must be writable and must stay as it is.
        precision: One of `utils.cli.PRECISIONS`, to compute in. Inputs and outputs are float32 with either.
        callers: Threads that will call the network at once. The processor cores are divided among them.
        prepare: Changes the network before it is compiled.
    """
    try:
        if isinstance(model, tuple):
            graph, weights = model
            network = _core().read_model(graph, import_openvino().Tensor(weights, shared_memory=True))
        else:
            network, weights = _core().read_model(model), None
        network = prepare(network) if prepare else network
        return Network(_core().compile_model(network, "CPU", _settings(precision, callers)), weights)
    except RuntimeError as exc:
        name = model if isinstance(model, Path) else "this"
        raise InputError(f"{name} is not a network that OpenVINO can run: {short_reason(exc)}") from None


def _settings(precision: str, callers: int) -> dict[str, str]:
    settings = {"INFERENCE_PRECISION_HINT": HINTS[precision], "NUM_STREAMS": str(callers)}
    limit = core_limit()
    # Not pinned, or all processes of a machine would take the same cores.
    return settings | {"INFERENCE_NUM_THREADS": str(limit), "ENABLE_CPU_PINNING": "NO"} if limit else settings


@interrupts.deferred()
def compile_once(
    name: str,
    read: Callable[[], bytes],
    precision: str = "float32",
    callers: int = 1,
    prepare: Prepare | None = None,
) -> Network:
    """Load a network that all models share, as `compile_network` does. It stays compiled in `cache_folder`.

    For RetinaFace this takes 0.03 s instead of 0.2 s. What is there is only used for the same network, processor and
    version of OpenVINO. It may be deleted, and where it cannot be written nothing is kept. Of many only
    the newest stay.

    Args:
        name: Tells this network from others. It changes with the ONNX file and with what `prepare` does.
        read: The ONNX file's content.
        precision, callers, prepare: See `compile_network`.
    """
    core, settings = _core(), _settings(precision, callers)
    made_for = [core.get_property("CPU", key) for key in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    identity = repr((name, settings, made_for, import_openvino().__version__))
    try:
        path = cache_folder() / f"network-{sha256(identity.encode())[:16]}"
    except RuntimeError:  # the user has no home folder
        return compile_network(read(), precision, callers, prepare)
    with contextlib.suppress(OSError, RuntimeError):  # it is missing, damaged, or not for this processor after all
        data = path.read_bytes()
        if sha256(data[DIGEST:]).encode() == data[:DIGEST]:
            return Network(core.import_model(data[DIGEST:], "CPU", settings), None)
    network = compile_network(read(), precision, callers, prepare)
    with contextlib.suppress(OSError, RuntimeError, InputError):  # InputError: a file is in the folder's way
        compiled = network.export()
        write_bytes(path, sha256(compiled).encode() + compiled, private=True)
        kept = sorted(path.parent.glob("network-*"), key=lambda file: file.stat().st_mtime)
        for old in kept[:-MAX_KEPT]:
            old.unlink()
    return network


def cache_folder() -> Path:
    """Where compiled networks are kept. They say nothing about the user. Raises RuntimeError without a home folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "siamese-faces"
