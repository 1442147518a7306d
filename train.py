"""Step 4: fit the similarity head: choose its kind, calibrate it, and choose its threshold.

  python train.py --features_path features --output_model models/similarity/ --epochs 15 --normalize 0

The head of a face network is the cosine or distance of its features, with constants fitted on other
people: one person is enough. With 50 people or more, a head is trained, too, without a fifth of them. It
is taken if it is certainly better on these held-out people, and no worse on strangers: features in
_strangers/, of people without a name. --head dense is the original recipe's network.

The output folder gets similarity.keras, similarity.json, similarity.keras.npz (with which other scripts
need no TensorFlow) and, if there was training, learning_curve.png and learning_curve.svg.
"""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli import (
    InputError,
    add_normalize_switch,
    bounded,
    clean_exit,
    counted,
    file_path,
    local_path,
    script_parser,
    warn,
)
from utils.heads.options import HEAD_KINDS, TrainingOptions

if TYPE_CHECKING:
    from keras.callbacks import Callback

    from utils.features.feature_files import FeatureSet
    from utils.heads.fitting import FittedHead

MAX_IN_MEMORY = 1 << 28  # bytes of features, above which pack.py is recommended


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-f", "--features_path", required=True, type=file_path, help="folder that extract_features.py wrote"
    )
    parser.add_argument(
        "-o", "--output_model", required=True, type=file_path, help="folder for the head, or a .keras file"
    )
    parser.add_argument(
        "--head",
        choices=("auto", *HEAD_KINDS),
        default="auto",
        help="cosine, distance: of the features, no training; plda: learned projection scored by PLDA; dense: the "
        "original recipe's network on |a − b|; auto: cosine or distance, unless plda is better on held-out people",
    )
    add_training_flags(parser)
    add_decision_flags(parser)
    add_dense_flags(parser)
    return parser


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of every training run."""
    parser.add_argument(
        "-e",
        "--epochs",
        type=bounded(int, 1),
        default=TrainingOptions.epochs,
        help="maximum; dense heads may stop early",
    )
    parser.add_argument(
        "--learning_rate", type=bounded(float, 1e-8, 10), help="Adam's (default: 0.0003 for plda, 0.001 for dense)"
    )
    parser.add_argument(
        "--devices",
        type=bounded(int, 1),
        help="graphics cards that share the training, with KERAS_BACKEND=jax (default: all with JAX, else one)",
    )
    parser.add_argument("--logdir", type=local_path, help="folder for TensorBoard, which is installed separately")
    parser.add_argument("--seed", type=bounded(int, 0, 2**32 - 1), default=0, help="same seed, same result")


def add_decision_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say how the threshold is chosen."""
    parser.add_argument(
        "--holdout",
        type=bounded(float, 0, 0.9),
        default=TrainingOptions.holdout,
        help="share of the people held out for calibration and measuring, 0-0.9",
    )
    parser.add_argument(
        "--far",
        type=bounded(float, 0, 0.5),
        default=TrainingOptions.far,
        help="false accept rate to choose the threshold for, 0-0.5",
    )


def add_dense_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that only dense heads use."""
    add_normalize_switch(
        parser, help="dense heads: 1 builds in the statistics of compute_mean.py (plda has its own normalization)"
    )
    parser.add_argument(
        "--negatives",
        type=bounded(float, 0.01, 1000),
        default=TrainingOptions.negatives,
        help="dense heads: different-person pairs per same-person pair, 0.01-1000",
    )
    parser.add_argument(
        "--batch_size", type=bounded(int, 1), help="dense heads: pairs a step (default: a fiftieth of all, 8-512)"
    )
    parser.add_argument(
        "--patience",
        type=bounded(int, 1),
        default=TrainingOptions.patience,
        help="dense heads: epochs without progress before training stops",
    )


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    import numpy as np

    from utils.files import make_folder
    from utils.heads.fitting import fit_head
    from utils.heads.head import save_head
    from utils.heads.numpy_similarity import arrays_path
    from utils.keras_models import training_devices

    requested = TrainingOptions(
        head=args.head,
        epochs=args.epochs,
        holdout=args.holdout,
        far=args.far,
        learning_rate=args.learning_rate,
        negatives=args.negatives,
        batch_size=args.batch_size,
        patience=args.patience,
    )
    features = load_people(args.features_path)
    options = complete_options(requested, features, args.features_path if args.normalize else None)
    path = new_head_path(args.output_model)
    options = dataclasses.replace(options, devices=training_devices(args.devices))
    callbacks = tensorboard(args.logdir)
    make_folder(path.parent)  # fail early if the folder cannot be created

    verbose = 1 if sys.stdout.isatty() else 2  # Keras' progress bar would fill a log file
    rng = np.random.default_rng(args.seed)
    fitted = fit_head(features.matrix, features.labels, options, rng, features.strangers, callbacks, verbose)
    report(fitted, features, options)
    description = {
        "dimension": features.matrix.shape[1],
        "extractor": features.extractor,
        **fitted.description,
        "training": {key: str(value) if hasattr(value, "suffix") else value for key, value in vars(args).items()},
        "held_out_people": sorted({features.names[label] for label in features.labels[fitted.held]}),
    }
    save_head(path, fitted.model, description)
    plots = replace_plots(path.parent, fitted.history)
    written = [file for file in (path.with_suffix(".json"), arrays_path(path), *plots) if file.is_file()]
    print(f"{', '.join([str(path), *(file.name for file in written)])}: threshold {description['threshold']:.3f}")
    return 130 if fitted.interrupted else 0


def load_people(folder: Path) -> "FeatureSet":
    """Load everybody's features, and say who has no faces any more and whether the features take much memory."""
    import numpy as np

    from utils.features.kept import report_kept
    from utils.features.stored_people import load_feature_set

    features = load_feature_set(folder)
    report_kept(folder)
    if features.matrix.nbytes > MAX_IN_MEMORY and not isinstance(features.matrix, np.memmap):
        gigabytes = features.matrix.nbytes / (1 << 30)
        print(
            f"note: these features take {gigabytes:.1f} GB of memory, and less once pack.py --features {folder} has run"
        )
    return features


def replace_plots(folder: Path, history: dict) -> list[Path]:
    """Replace the learning curves of a folder's previous head, if any, by those of a training history, if any."""
    from utils.heads.training import plot_learning_curve

    plots = [folder / f"learning_curve.{suffix}" for suffix in ("png", "svg")]
    for plot in plots:
        plot.unlink(missing_ok=True)
    if history:
        plot_learning_curve(history, plots[0])
    return plots


def new_head_path(output_model: Path) -> Path:
    """The file to save the head in. Raises InputError if it cannot hold a head or would overwrite another model."""
    from utils.heads.head import head_path, is_own_head

    path = head_path(output_model)
    if path.suffix.lower() != ".keras":
        raise InputError(f"--output_model needs a .keras file, because HDF5 cannot store a head. Received: {path.name}")
    if path.is_file() and not is_own_head(path):
        raise InputError(
            f"{path} exists and is not a head that train.py saved: move it, or give --output_model another name"
        )
    return path


def complete_options(options: TrainingOptions, features: "FeatureSet", statistics: Path | None) -> TrainingOptions:
    """Check that these people allow the kind of head, and load what it needs. Raises InputError.

    statistics: folder of compute_mean.py's statistics to build into a dense head; None for none.
    """
    from utils.features.normalization import load_normalization
    from utils.heads.choice import candidate_kinds, check_kind

    matrix, labels = features.matrix, features.labels
    kinds = candidate_kinds(features.extractor, matrix, labels) if options.head == "auto" else (options.head,)
    for kind in kinds:
        check_kind(kind, features.extractor, matrix, labels)
    normalization = None
    if statistics and "dense" not in kinds:
        warn(f"--normalize 1 is only for --head dense: ignored by the {kinds[0]} head")
    elif statistics:
        normalization = load_normalization(statistics, matrix.shape[1], features.extractor)
    return dataclasses.replace(options, extractor=features.extractor, normalization=normalization)


def tensorboard(logdir: Path | None) -> tuple["Callback", ...]:
    """Keras' callback for TensorBoard, if a folder is given. Raises InputError if TensorBoard is not installed."""
    if logdir is None:
        return ()
    from importlib.util import find_spec

    if find_spec("tensorboard") is None:
        raise InputError("--logdir needs TensorBoard: `pip install tensorboard`")
    from keras.callbacks import TensorBoard

    return (TensorBoard(str(logdir), write_graph=False),)


def report(fitted: "FittedHead", features: "FeatureSet", options: TrainingOptions) -> None:
    """Print which head it is and why, how accurate it is, how that was measured, and what there was too little for."""
    from utils.heads.comparison import accepted_share
    from utils.heads.fitting import MIN_PEOPLE_TO_HOLD_OUT
    from utils.heads.options import PLAIN_KINDS

    rule, figures = fitted.description, fitted.figures
    if fitted.reason:
        print(f"--head auto took {rule['head']}: {fitted.reason}")
    for caution in fitted.cautions:
        warn(caution)
    if figures:
        report_figures(fitted, options)
    elif rule["head"] in PLAIN_KINDS:
        print(f"{rule['head']}: nothing is trained; the threshold's FAR of {rule['far']:g} is among other people")
    else:
        warn(
            f"nobody is held out (this needs --holdout and {MIN_PEOPLE_TO_HOLD_OUT} people with several images): "
            "the threshold and the vote are the original recipe's, not measured"
        )
    if rule["head"] in PLAIN_KINDS and len(features.strangers):
        share = accepted_share(fitted.head, features.strangers, features.matrix)
        print(f"of the comparisons with {counted(len(features.strangers), 'face')} of strangers it accepts {share:.5f}")


def report_figures(fitted: "FittedHead", options: TrainingOptions) -> None:
    """Print the figures on the people that the head did not learn from, and whether these are enough."""
    rule, figures = fitted.description, fitted.figures
    print(
        f"on {figures.people} held-out people, who also determined the threshold: {figures.same_pairs} same-person and "
        f"{figures.different_pairs} different-person pairs, AUC {figures.auc:.4f} (Euclidean distance "
        f"{figures.euclidean_auc:.4f}), EER {figures.eer:.4f}, TAR {figures.tar:.3f} at FAR {figures.far:.5f}"
    )
    if figures.auc < figures.euclidean_auc:
        print("note: plain Euclidean distance separates these people better than this head; train it on more people")
    report_rule(rule)
    if rule["far"] > options.far:
        warn(
            f"{figures.people} held-out people make only {counted(figures.person_pairs, 'pair')} of people, too few to "
            f"measure a FAR of {options.far:g} (n pairs show no rate below 1/n): the threshold rejects all of them; "
            "more people give a better one"
        )


def report_rule(rule: dict) -> None:
    """Print how well the head is calibrated and how certain its threshold is."""
    from utils.heads.operating_point import MIN_PEOPLE_TO_CALIBRATE

    if rule["calibration"]:
        before, after = rule["calibration"]["error_before"], rule["calibration"]["error_after"]
        measured = "cannot be measured" if after is None else f"{after:.4f}, cross-fitted on halves of these people"
        print(f"expected calibration error {before:.4f}; after calibration: {measured}")
    else:
        warn(f"fewer than {MIN_PEOPLE_TO_CALIBRATE} people are held out: the probabilities are not calibrated")
    if "threshold_pairs" in rule:
        pairs, lowest = rule["threshold_pairs"], rule["thresholds"][-1][0]
        print(f"{pairs:,} pairs of different people measured the thresholds of low rates, down to {lowest:.1e}")
    if "threshold_interval" in rule:
        low, high = rule["threshold_interval"]
        min_far, max_far = rule["far_interval"]
        print(
            f"threshold {rule['threshold']:.4f}, 95% interval {low:.4f}-{high:.4f}; "
            f"95% interval of its FAR {min_far:.5f}-{max_far:.5f} (bootstrap over people)"
        )


if __name__ == "__main__":
    sys.exit(main())
