"""Step 4: train the similarity head on the features, calibrate it, and choose its threshold on people it never saw.

  python train.py --features_path features --output_model models/similarity/ --epochs 15 --normaliza 0

A fifth of the people is held out: they make the head's output a probability and choose the threshold.
Features in _strangers are nobody's: faces that must not be taken for anybody. With too few people to
train on, one is enough, dlib features get a head that is their distance, with constants fitted on others.
--head dense is the original recipe's network. The output folder gets similarity.keras and similarity.json,
and learning_curve.png where something was trained.
"""

import argparse
import sys
from pathlib import Path

from utils.cli import InputError, add_normalize_switch, bounded, clean_exit, counted, file_path, script_parser, warn
from utils.heads.options import HEAD_KINDS, TrainingOptions


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-f", "--features_path", required=True, type=file_path, help="folder that extract_features.py wrote"
    )
    parser.add_argument(
        "-o", "--output_model", required=True, type=file_path, help="folder for the head, or a .keras file's name"
    )
    parser.add_argument(
        "--head",
        choices=("auto", *HEAD_KINDS),
        default="auto",
        help="plda: a projection and what two faces have in common in it, the best; dense: the original recipe's "
        "network on |a − b|; distance: nothing is trained; auto: plda, or one of the others where people are too few",
    )
    parser.add_argument(
        "-e",
        "--epochs",
        type=bounded(int, 1),
        default=TrainingOptions.epochs,
        help="at most; dense heads stop when they stall",
    )
    add_normalize_switch(parser, help="1: build the statistics of compute_mean.py into a dense head (plda has its own)")
    parser.add_argument(
        "--negatives",
        type=bounded(float, 0.01, 1000),
        default=TrainingOptions.negatives,
        help="different-person pairs per positive pair, for dense heads",
    )
    parser.add_argument(
        "--holdout",
        type=bounded(float, 0, 0.9),
        default=TrainingOptions.holdout,
        help="share of the people kept for measuring, 0-0.9",
    )
    parser.add_argument(
        "--far",
        type=bounded(float, 0, 0.5),
        default=TrainingOptions.far,
        help="false accept rate that the threshold is chosen for, 0-0.5",
    )
    parser.add_argument(
        "--batch_size",
        type=bounded(int, 1),
        help="pairs a step, for dense heads (default: a fiftieth of all, 8 at least, 512 at most)",
    )
    parser.add_argument(
        "--learning_rate", type=bounded(float, 1e-8, 10), help="of Adam (default: 0.0003 for plda, 0.001 for dense)"
    )
    parser.add_argument(
        "--patience",
        type=bounded(int, 1),
        default=TrainingOptions.patience,
        help="epochs without progress before a dense head stops",
    )
    parser.add_argument("--logdir", type=file_path, help="folder for TensorBoard, which you install yourself")
    parser.add_argument("--seed", type=bounded(int, 0, 2**32 - 1), default=0, help="same seed, same result")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    import numpy as np

    from utils.features.feature_files import load_features
    from utils.files import make_folder
    from utils.heads.head import head_path, save_head
    from utils.heads.training import fit_head, plot_learning_curve
    from utils.keras_models import import_keras

    features = load_features(args.features_path)
    options = choose_options(args, features)
    path = head_path(args.output_model)
    if path.is_file() and not path.with_suffix(".json").is_file():
        raise InputError(f"{path} is there and is no head of train.py's: give --output_model another name, or move it")
    import_keras()
    callbacks = tensorboard(args.logdir)
    make_folder(path.parent)  # before the work, not after it

    verbose = 1 if sys.stdout.isatty() else 2  # Keras' moving bar makes a mess of a log file
    rng = np.random.default_rng(args.seed)
    fitted = fit_head(features.matrix, features.labels, options, rng, features.strangers, callbacks, verbose)
    report(fitted, options)
    description = {
        "dimension": features.matrix.shape[1],
        "extractor": features.extractor,
        **fitted.description,
        "training": {key: str(v) if isinstance(v, Path) else v for key, v in vars(args).items()},
        "held_out_people": sorted({features.names[label] for label in features.labels[fitted.held]}),
    }
    save_head(path, fitted.head.model, description)
    curve = path.with_name("learning_curve.png")
    curve.unlink(missing_ok=True)  # of the head before
    if fitted.history:
        plot_learning_curve(fitted.history, curve)
    written = [path, path.with_suffix(".json").name, *([curve.name] if fitted.history else [])]
    print(f"{', '.join(map(str, written))}: threshold {description['threshold']:.3f}")
    return 130 if fitted.interrupted else 0


def choose_options(args, features):
    """The TrainingOptions of the flags, with the head that the features are enough for; says so. Raises InputError."""
    from utils.features.normalization import load_normalization
    from utils.heads.choice import check_trainable, suitable_head
    from utils.heads.distance import constants_of

    kind, reason = args.head, None
    if kind == "auto":
        kind, reason = suitable_head(features, args.holdout, args.far)
    distance = constants_of(features.extractor) if kind == "distance" else None
    if distance is None:
        check_trainable(features.labels)
    if reason:
        warn(f"{reason} (--head chooses another)")
    if kind == "distance" and len(features.strangers):
        warn(f"{counted(len(features.strangers), 'face')} of strangers teach the distance head nothing")
    normalization = None
    if args.normalize and kind != "dense":
        warn(f"--normalize 1 is for --head dense; the {kind} head has no use for it")
    elif args.normalize:
        normalization = load_normalization(args.features_path, features.matrix.shape[1], features.extractor)
    return TrainingOptions(
        head=kind,
        epochs=args.epochs,
        holdout=args.holdout,
        far=args.far,
        learning_rate=args.learning_rate,
        negatives=args.negatives,
        batch_size=args.batch_size,
        patience=args.patience,
        normalization=normalization,
        distance=distance,
    )


def tensorboard(logdir: Path | None) -> tuple:
    """Keras' callback for TensorBoard, or none. Raises InputError where it is not installed."""
    if logdir is None:
        return ()
    from importlib.util import find_spec

    if find_spec("tensorboard") is None:
        raise InputError("--logdir needs TensorBoard: `pip install tensorboard`")
    from keras.callbacks import TensorBoard

    return (TensorBoard(str(logdir), write_graph=False),)


def report(fitted, options) -> None:
    """Say on the terminal how good the head is, how that is known, and what the data was too little for."""
    from utils.heads.operating_point import MIN_PEOPLE_TO_CALIBRATE
    from utils.heads.training import MIN_PEOPLE_TO_HOLD_OUT

    rule, figures = fitted.description, fitted.figures
    if options.distance:
        distance = options.distance.distance_for_far(options.far)
        print(f"accepts distances below {distance:.3f}: FAR {rule['far']:g} among other people")
        return
    if figures is None:
        warn(
            f"nobody is held out (that needs --holdout and {MIN_PEOPLE_TO_HOLD_OUT} people with several images): "
            "the rule is the original recipe's, unmeasured"
        )
        return
    print(
        f"on the {figures.people} held-out people, who chose the threshold: {figures.same_pairs} same and "
        f"{figures.different_pairs} different pairs, AUC {figures.auc:.4f} (Euclidean distance "
        f"{figures.euclidean_auc:.4f}), EER {figures.eer:.4f}, TAR {figures.tar:.3f} at FAR {figures.far:.5f}"
    )
    if figures.auc < figures.euclidean_auc:
        print("note: plain Euclidean distance tells these people apart better than this head; more people may help it")
    if rule["calibration"]:
        after = rule["calibration"]["error_after"]
        measured = "cannot be measured" if after is None else f"{after:.4f}, of halves of them by turns"
        print(f"expected calibration error {rule['calibration']['error_before']:.4f}; calibrated on them: {measured}")
    else:
        warn(
            f"fewer than {MIN_PEOPLE_TO_CALIBRATE} people are held out: the probabilities are as trained, uncalibrated"
        )
    if "threshold_interval" in rule:
        low, high = rule["threshold_interval"]
        least, most = rule["far_interval"]
        print(
            f"threshold {rule['threshold']:.4f}, 95% of it within {low:.4f}-{high:.4f}; "
            f"its FAR within {least:.5f}-{most:.5f} (people drawn anew)"
        )
    if rule["far"] > options.far:
        warn(
            f"{figures.people} held-out people make {counted(figures.person_pairs, 'pair')} of people, too few to know "
            f"a FAR of {options.far:g} (1/n is the least that n pairs show): the threshold clears them all and the "
            "vote is the original recipe's; more people make it surer"
        )


if __name__ == "__main__":
    sys.exit(main())
