"""Step 1: build a feature extractor and save it.

  python network.py --output models --model resnet --print_model 0
  python network.py --output models --model dlib --backbone dlib
  python network.py --output models --model dlib_flip --backbone dlib --flip 1
  python network.py --output models --model sface --backbone sface
  python network.py --output models --model arcface --backbone w600k_r50.onnx

The default is the original recipe: ResNet50 trained on ImageNet, cut at activation_46 (7×7×2048)
and averaged to 2048 features. It downloads Keras' ImageNet weights on first use. `--backbone dlib`
is dlib's face recognition network, from 150×150 px to 128 features; `--backbone sface` is OpenCV's,
from 112×112 px to 128 features of length 1, which makes far fewer errors. Both are trained on faces, and
their weights come with the installed packages, so nothing is downloaded. `--backbone FILE.onnx` rebuilds any
face network that you have as an ONNX file and measures how well its features equal the file's own.

NAME.keras.openvino beside the model is the same network for OpenVINO, with which the other scripts need no TensorFlow.
It is made again whenever it is missing or does not fit.
"""

import argparse
import math
import sys

from utils.cli import InputError, add_switch, bounded, clean_exit, file_path, name_or_file, script_parser, warn

# Defaults that you may want to change. Each is also a flag.
BACKBONE = "resnet50"
RESNET50_LAYER = "activation_46"  # today's conv5_block2_out, the 46th of ResNet50's 49 activations
POOLING = "avg"


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("-o", "--output", required=True, type=file_path, help="folder to save the model in")
    parser.add_argument(
        "-m",
        "--model_name",
        "--model",
        required=True,
        help="file name of the model; without an extension it gets .keras (.h5 works too)",
    )
    add_switch(parser, "-p", "--print_model", default=1, help="1: print a summary of the layers")
    add_network_flags(parser)
    add_onnx_flags(parser)
    return parser


def add_network_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that choose a pretrained network and turn it into an extractor."""
    parser.add_argument(
        "--backbone",
        type=name_or_file,
        default=BACKBONE,
        help="resnet50, dlib, sface, an ONNX file (its name ends in .onnx), or any other keras.applications name",
    )
    parser.add_argument(
        "--layer",
        help="layer to cut at: its current name, or activation_N as old Keras counted "
        f"(default: {RESNET50_LAYER} for resnet50, the last layer for others)",
    )
    parser.add_argument(
        "--pooling",
        choices=("avg", "max", "none"),
        default=POOLING,
        help="how rows and columns become one vector (dlib has its own pooling unless --layer cuts it off)",
    )
    parser.add_argument(
        "--input_size",
        type=bounded(int, 32, 2048),
        help="side of the square input in pixels (default: the network's own)",
    )
    parser.add_argument(
        "--weights",
        type=name_or_file,
        default="imagenet",
        help="imagenet (for dlib and sface: the weights in their packages), none (random), or a file",
    )
    add_switch(
        parser,
        "--flip",
        default=0,
        help="1: average the features of a face and of its mirror image, which makes fewer errors and takes twice "
        "the time",
    )


def add_onnx_flags(parser: argparse.ArgumentParser) -> None:
    """The flags for what an ONNX file does not say about itself, and for the crop that a network sees."""
    parser.add_argument(
        "--layout", choices=("nchw", "nhwc"), help="order of an ONNX file's input (default: what its shape says)"
    )
    parser.add_argument(
        "--mean",
        type=channel_numbers,
        metavar="M",
        help="an ONNX network gets (x − M) · S of pixels x, 0-255: one number, or three for R,G,B (default: 127.5, or "
        "0 if the file begins with its own scaling)",
    )
    parser.add_argument(
        "--scale",
        type=channel_numbers,
        metavar="S",
        help="see --mean (default: 1/127.5, or 1; 1/127.5 may be written so)",
    )
    parser.add_argument("--channels", choices=("rgb", "bgr"), default="rgb", help="order of the colors (AdaFace: bgr)")
    parser.add_argument(
        "--crop",
        choices=("dlib", "arcface"),
        help="what the network sees of a face (default: arcface for sface and ONNX files, dlib for others)",
    )


def channel_numbers(text: str) -> tuple[float, ...]:
    """One number or three, such as 127.5 or 1/58.4,1/57.1,1/57.4."""
    parts = text.split(",")
    try:
        numbers = tuple(float(top) / float(bottom or 1) for top, _, bottom in (part.partition("/") for part in parts))
    except (ValueError, ZeroDivisionError):
        numbers = ()
    if len(numbers) not in (1, 3) or not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(f"must be one number or three with commas between. Received: {text}")
    return numbers


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    from utils.faces.crops import CROP_POINTS
    from utils.features.engine_file import write_engine_file
    from utils.features.keras_extractor import model_fingerprint, save_extractor
    from utils.files import make_folder
    from utils.keras_models import import_keras, new_model_path
    from utils.networks.backbones import build_extractor, is_face_network
    from utils.networks.onnx_preprocessing import OnnxOptions

    path = new_model_path(args.output / args.model_name)
    if args.flip and path.suffix.lower() != ".keras":
        raise InputError(f"--flip 1 needs a .keras file, because HDF5 cannot store it. Received: {path.name}")
    make_folder(args.output)  # fail early if the folder cannot be created
    import_keras()
    layer = args.layer or (RESNET50_LAYER if args.backbone.lower() == "resnet50" else None)
    weights = "pretrained" if args.weights == "imagenet" else args.weights
    onnx = OnnxOptions(args.layout, None, args.mean, args.scale, args.channels == "bgr")
    model = build_extractor(args.backbone, layer, args.pooling, args.input_size, weights, bool(args.flip), onnx)
    if weights == "none":
        warn("--weights none gives a network with random weights, which recognizes nobody: for tests, or to train on")
    if args.print_model:
        model.summary(expand_nested=True)
    crop_points = CROP_POINTS[args.crop or ("arcface" if is_face_network(args.backbone) else "dlib")]
    save_extractor(model, path, crop_points)
    fingerprint = model_fingerprint(model, crop_points)
    print(f"{path}: {model.input_shape[1]} px → {model.output_shape[-1]} features ({fingerprint})")
    write_engine_file(path, model, crop_points)
    return 0


if __name__ == "__main__":
    sys.exit(main())
