"""Take an extractor and a head along: to a phone, a small computer, or another program.

  python export.py --model models/sface --classification models/similarity --format onnx --output exported
  python export.py --model models/sface --format openvino --precision int8 --faces_path faces --output exported

Writes extractor.onnx and head.onnx (OpenVINO: .xml and .bin; LiteRT: .tflite), each with a .json beside it that
says what goes in and comes out: docs/deployment.md. Each file is run on its own runtime and compared with Keras
at once, and refused beyond a tolerance. test.py, verify.py and extract_features.py run the ONNX and OpenVINO files
where no TensorFlow is installed (requirements-runtime.txt).
"""

import argparse
import sys

from utils.cli import InputError, bounded, clean_exit, file_path, script_parser

FORMATS = ("onnx", "openvino", "litert")
PRECISIONS = ("float32", "float16", "int8")


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("-m", "--model", required=True, type=file_path, help="extractor saved by network.py")
    parser.add_argument("-c", "--classification", type=file_path, help="head saved by train.py, to export it, too")
    parser.add_argument("-o", "--output", required=True, type=file_path, help="folder to write to")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="onnx",
        help="onnx: most programs and devices; openvino: Intel and ARM processors, fastest; litert: phones",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="of the extractor's weights; float16: half the size, next to no loss; int8: a quarter of the size, and "
        "it computes in 8 bits with ranges measured on --faces_path. Heads are small and stay float32",
    )
    parser.add_argument(
        "-p",
        "--faces_path",
        type=file_path,
        help="folder with a folder per person, to quantize and to compare on (default: drawn faces, not for int8)",
    )
    parser.add_argument("--seed", type=bounded(int, 0), default=0, help="which faces are drawn from --faces_path")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.precision == "int8" and not args.faces_path:
        raise InputError("--precision int8 measures its ranges on faces: give a folder of them with --faces_path")
    from utils.export.formats import check_packages
    from utils.export.networks import ExportOptions, export_networks
    from utils.files import make_folder

    check_packages(args.format, args.precision)
    make_folder(args.output)  # fail early if the folder cannot be created
    options = ExportOptions(args.output, args.format, args.precision, args.faces_path, args.seed)
    export_networks(args.model, args.classification, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
