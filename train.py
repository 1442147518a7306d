"""Step 4: train the similarity head on the features, and choose its threshold on people it never saw.

  python train.py --features_path features --output_model models/similarity/ --epochs 15 --normaliza 0

Every face is paired with every other face of its person; 1.5 times as many pairs of different
people are drawn at random, anew for each epoch. A fifth of the people is held out: they choose the
epoch and the threshold. The output folder gets similarity.keras, similarity.json and learning_curve.png.
"""

import argparse
import sys
from pathlib import Path

from utils.cli import InputError, add_normalize_switch, bounded, clean_exit, counted, file_path, script_parser, warn

# What you may want to change; every one is also a flag.
EPOCHS = 15
NEGATIVES = 1.5  # per positive pair
HOLDOUT = 0.2  # of the people
FAR = 0.001
MIN_VOTES = 0.5  # of a person's images that must clear the threshold in test.py
MIN_PEOPLE_TO_HOLD_OUT = 5  # with several images each; fewer are all needed for training


def create_model(inputs=(2048,)):
    """The head: |a − b| (n, D) → probability of "same person" (n, 1). Change it as you like."""
    from keras import Input, Model, layers

    difference = Input(inputs, name="difference")
    x = layers.Dense(512, name="dense_512")(difference)
    x = layers.Dropout(0.5, name="dropout_512")(x)
    x = layers.Dense(256, name="dense_256")(x)
    x = layers.Dropout(0.3, name="dropout_256")(x)
    x = layers.Dense(32, name="dense_32")(x)
    x = layers.Dense(1, name="logit")(x)
    x = layers.Activation("sigmoid", name="probability")(x)
    return Model(difference, x, name="head")


def build_parser() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "-f", "--features_path", required=True, type=file_path, help="folder that extract_features.py wrote"
    )
    parser.add_argument(
        "-o", "--output_model", required=True, type=file_path, help="folder for the head, or a .keras file's name"
    )
    parser.add_argument("-e", "--epochs", type=bounded(int, 1), default=EPOCHS, help="at most; it stops when it stalls")
    add_normalize_switch(parser, help="1: build the statistics of compute_mean.py into the head")
    parser.add_argument(
        "--negatives",
        type=bounded(float, 0.01, 1000),
        default=NEGATIVES,
        help="different-person pairs per positive pair",
    )
    parser.add_argument(
        "--holdout",
        type=bounded(float, 0, 0.9),
        default=HOLDOUT,
        help="share of the people kept for measuring, 0-0.9",
    )
    parser.add_argument(
        "--far",
        type=bounded(float, 0, 0.5),
        default=FAR,
        help="false accept rate that the threshold is chosen for, 0-0.5",
    )
    parser.add_argument(
        "--batch_size", type=bounded(int, 1), help="pairs a step (default: a fiftieth of all, 8 at least, 512 at most)"
    )
    parser.add_argument("--learning_rate", type=bounded(float, 1e-8, 10), default=0.001, help="of Adam")
    parser.add_argument("--patience", type=bounded(int, 1), default=4, help="epochs without progress before it stops")
    parser.add_argument("--seed", type=bounded(int, 0, 2**32 - 1), default=0, help="same seed, same result")
    return parser


@clean_exit
def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    import numpy as np

    from utils.extractor import import_keras
    from utils.features import load_features
    from utils.files import make_folder
    from utils.head import Head, build_similarity, head_path, save_head
    from utils.normalization import load_normalization
    from utils.pairs import split_people
    from utils.training import TrainingOptions, plot_learning_curve, train_similarity

    features = load_features(args.features_path)
    dimension = features.matrix.shape[1]
    normalization = None
    if args.normalize:
        normalization = load_normalization(args.features_path, dimension, features.extractor)
    check_trainable(features.labels)
    path = head_path(args.output_model)
    make_folder(path.parent)  # before the work, not after it

    rng = np.random.default_rng(args.seed)
    rows, held = split_people(features.labels, args.holdout, MIN_PEOPLE_TO_HOLD_OUT, rng)
    keras = import_keras()
    keras.utils.set_random_seed(args.seed)  # of the initial weights and the dropout, which Keras draws itself
    similarity = build_similarity(create_model((dimension,)), normalization)
    options = TrainingOptions(args.epochs, args.negatives, args.batch_size, args.learning_rate, args.patience)
    history, interrupted = train_similarity(similarity, features, rows, held, options, rng)

    description = {
        "dimension": dimension,
        "extractor": features.extractor,
        **choose_operating_point(Head(similarity, {}), features, held, args.far, rng),
        "training": {key: str(v) if isinstance(v, Path) else v for key, v in vars(args).items()},
        "held_out_people": sorted({features.names[label] for label in features.labels[held]}),
    }
    save_head(path, similarity, description)
    plot_learning_curve(history, path.with_name("learning_curve.png"))
    print(f"{path}, {path.with_suffix('.json').name} and learning_curve.png: threshold {description['threshold']:.3f}")
    return 130 if interrupted else 0


def check_trainable(labels) -> None:
    """Raise InputError unless the labels int (n,) make both kinds of pairs."""
    import numpy as np

    counts = np.bincount(labels)
    if len(counts) < 2:
        raise InputError("training needs at least two people: pairs of different people are half of what is learned")
    if counts.max() < 2:
        raise InputError("training needs a person with at least two images: there is no pair of the same person")


def choose_operating_point(head, features, held, target_far: float, rng) -> dict:
    """The rule to accept by and how it was come by, for the head's description; says it on the terminal too."""
    from utils.metrics import RECIPE_MIN_VOTES, RECIPE_THRESHOLD
    from utils.training import measure_held_out

    if not len(held):
        warn(
            f"nobody is held out (that needs --holdout and {MIN_PEOPLE_TO_HOLD_OUT} people with several images): "
            "the rule is the original recipe's, unmeasured"
        )
        return {"threshold": RECIPE_THRESHOLD, "min_votes": RECIPE_MIN_VOTES, "far": None, "held_out": None}
    threshold, supported, figures = measure_held_out(head, features, held, target_far, rng)
    print(
        f"on the {figures.people} held-out people, who chose epoch and threshold: {figures.same_pairs} same and "
        f"{figures.different_pairs} different pairs, AUC {figures.auc:.4f} (Euclidean distance "
        f"{figures.euclidean_auc:.4f}), EER {figures.eer:.4f}, TAR {figures.tar:.3f} at FAR {figures.far:.5f}"
    )
    if figures.auc < figures.euclidean_auc:
        print("note: plain Euclidean distance tells these people apart better than this head; more people may help it")
    if supported > target_far:
        warn(
            f"{figures.people} held-out people make {counted(figures.person_pairs, 'pair')} of people, too few to know "
            f"a FAR of {target_far:g} (1/n is the least that n pairs show): the threshold clears them all and the "
            "vote is the original recipe's; more people make it surer"
        )
    # What the data cannot show needs the stricter vote.
    min_votes = MIN_VOTES if supported == target_far else RECIPE_MIN_VOTES
    return {"threshold": threshold, "min_votes": min_votes, "far": supported, "held_out": figures.as_dict()}


if __name__ == "__main__":
    sys.exit(main())
