"""Other people: does what was chosen on some people hold for others?

A threshold that keeps its promise on the people it was chosen on may break it on others: on children, on other
photographs, in another part of the world. So the thresholds of all scorers come from the evaluated folder and are
applied, unchanged, to other folders. Each folder is judged by itself, since a mean would hide those who fare worst.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from utils import interrupts
from utils.bootstrap import interval, resampled_shares
from utils.cli import InputError, counted, warn
from utils.evaluation.pairs import Pairs, has_both_kinds, sample_pairs, stranger_label, with_strangers
from utils.evaluation.protocols import COSINE, HEAD, all_scores
from utils.evaluation.verification import REPORTED_FARS, Estimate
from utils.features.feature_files import FeatureSet
from utils.features.stored_people import load_feature_set
from utils.heads.head import Head
from utils.heads.pairs import capped_rows
from utils.metrics import calibration_error, roc, threshold_for_far

MAX_PHOTOS = 50  # of a person; limits the memory for pairs
MAX_SAME = MAX_PHOTOS * (MAX_PHOTOS - 1) // 2  # pairs of a person: all
MAX_DIFFERENT = 1_000_000  # pairs of a group; with so many, chance moves a rate of 0.001 by 3 % of itself


@dataclass(frozen=True)
class Group:
    """Photos that are compared with each other."""

    name: str
    matrix: np.ndarray  # float32 (n, D)
    labels: np.ndarray  # int32 (n,), the person of each row
    strangers_from: int | None = None  # the first label of a stranger; two of them make no pair
    may_have_doubles: bool = False  # whether pairs that are too similar are left out


@dataclass(frozen=True)
class Rates:
    """What a threshold does to a group, with 95 % intervals over people."""

    far: Estimate
    tar: Estimate


@dataclass(frozen=True)
class GroupScorer:
    """How well one scorer does on a group."""

    auc: float | None  # None without pairs of both kinds
    at_far: dict[float, Rates]  # FAR where the threshold was chosen → rates here


@dataclass(frozen=True)
class GroupFigures:
    """The figures of a group."""

    name: str
    people: int
    same_pairs: int
    different_pairs: int
    doubles: int  # pairs left out because they are too similar
    own_threshold: Rates  # at the threshold stored with the head
    scorers: dict[str, GroupScorer]


@dataclass(frozen=True)
class OtherPeople:
    """The figures of other people. The names of the fields are keys of evaluation.json."""

    own_threshold: float  # of the head
    thresholds: dict[str, dict[float, float]]  # scorer → FAR → threshold; without FARs that the people cannot show
    here: GroupFigures  # the people on whom these thresholds were chosen
    groups: list[GroupFigures]
    calibration_here: float | None  # expected calibration error of the head, 0-1; None without pairs of both kinds
    calibration_others: float | None  # of all groups together
    max_double: float | None  # cosine from which a pair of strangers is left out; None for no limit
    head: str | None = None  # kind of the head that was fitted to all people; None if a head was given


@dataclass(frozen=True)
class _Scored:
    """A group's pairs with the scores of all scorers."""

    name: str
    people: int
    pairs: Pairs
    doubles: int
    scores: dict[str, np.ndarray]


def load_groups(people: list[Path], strangers: list[Path], here: FeatureSet) -> list[Group]:
    """Load other people: one group for each folder of people, and one for each subfolder of folders of strangers.

    Raises InputError for features of another extractor, and for folders without pairs.

    Args:
        people: features folders whose subfolders are people.
        strangers: features folders in which every photo shows another person, and subfolders are kinds.
        here: the features that the others are compared with.
    """
    names = _short_names([*people, *strangers])
    groups = [_group_of_people(folder, names[folder], here) for folder in people]
    for folder in strangers:
        groups += _groups_of_strangers(folder, names[folder], here)
    return groups


def _short_names(folders: list[Path]) -> dict[Path, str]:
    """The last part of each path, or all of it where two end alike."""
    count = Counter(folder.resolve().name for folder in dict.fromkeys(folders))
    return {folder: folder.resolve().name if count[folder.resolve().name] == 1 else str(folder) for folder in folders}


def _load_other(folder: Path, here: FeatureSet) -> FeatureSet:
    features = load_feature_set(folder)
    pair = [(part.extractor, part.matrix.shape[1]) for part in (features, here)]
    known = all(extractor for extractor, _ in pair)
    if pair[0][1] != pair[1][1] or (known and pair[0] != pair[1]):
        theirs, ours = (f"{extractor or 'an unknown extractor'} with {size} features" for extractor, size in pair)
        raise InputError(
            f"the features in {folder} come from {theirs}, but those in --features_path from {ours}: "
            "run extract_features.py with the same extractor for both"
        )
    return features


def _group_of_people(folder: Path, name: str, here: FeatureSet) -> Group:
    features = _load_other(folder, here)
    common = set(features.names) & set(here.names)
    if common:
        warn(
            f"{counted(len(common), 'name is', 'names are')} both in {folder} and in --features_path: if they are "
            "the same people, these are not others"
        )
    features = with_strangers(features)
    if len(features.labels) < 2:
        raise InputError(f"{folder} has a single photo, which makes no pairs")
    return Group(name, features.matrix, features.labels, stranger_label(features.names))


def _groups_of_strangers(folder: Path, name: str, here: FeatureSet) -> list[Group]:
    features = _load_other(folder, here)
    groups, single = [], []
    for label, kind in enumerate(features.names):
        matrix = features.matrix[features.labels == label]
        if len(matrix) < 2:
            single.append(kind)
        else:
            labels = np.arange(len(matrix), dtype=np.int32)
            groups.append(Group(f"{name}/{kind}", matrix, labels, may_have_doubles=True))
    if not groups:
        raise InputError(f"{folder} has no subfolder with two photos: expected <kind>/<kind>_features.cPickle")
    if single:
        warn(f"{counted(len(single), 'subfolder')} of {folder} left out, with a single photo: {', '.join(single[:20])}")
    return groups


def measure_others(
    head: Head, here: Group, groups: list[Group], max_double: float | None, replicates: int, seed: int
) -> OtherPeople:
    """Choose the thresholds on one group and apply them to others.

    Args:
        head: the head, which did not learn from `here`.
        here: the group whose rates choose the thresholds.
        groups: the others.
        max_double: leave out pairs of strangers with this cosine or a higher one; None for all pairs.
        replicates: bootstrap resamplings of the people.
        seed: of the pairs that are drawn and of the bootstrap; a group's figures do not depend on the other groups.
    """
    scored = _score(head, here, None, seed)
    thresholds = _thresholds(scored)
    judge_by = (thresholds, head.threshold, replicates, seed)
    first, figures, calibration = _judge(scored, *judge_by), [], []
    for group in tqdm(groups, unit="folder", disable=None):
        interrupts.check()
        other = _score(head, group, max_double, seed)
        figures.append(_judge(other, *judge_by))
        calibration.append(other)
    return OtherPeople(
        own_threshold=head.threshold,
        thresholds=thresholds,
        here=first,
        groups=figures,
        calibration_here=_calibration([scored]),
        calibration_others=_calibration(calibration),
        max_double=max_double,
    )


def _score(head: Head, group: Group, max_double: float | None, seed: int) -> _Scored:
    rng = np.random.default_rng(seed)
    rows = capped_rows(group.labels, MAX_PHOTOS, rng)
    pairs = sample_pairs(group.labels, rows, rng, group.strangers_from, MAX_SAME, MAX_DIFFERENT)
    scores = all_scores(head, group.matrix, pairs.rows)
    doubles = np.zeros(len(pairs), bool)
    if group.may_have_doubles and max_double is not None:
        doubles = scores[COSINE] >= max_double
        pairs, scores = pairs.chosen(~doubles), {name: values[~doubles] for name, values in scores.items()}
    return _Scored(group.name, len(np.unique(group.labels)), pairs, int(doubles.sum()), scores)


def _thresholds(scored: _Scored) -> dict[str, dict[float, float]]:
    """Scorer → FAR → threshold. n pairs of people cannot show a rate below 1 / n."""
    different = ~scored.pairs.same
    people, weights = np.sort(scored.pairs.people[different], axis=1).astype(np.int64), scored.pairs.weights[different]
    person_pairs = len(np.unique(people @ [people.max(initial=0) + 1, 1]))
    fars = [far for far in REPORTED_FARS if far * person_pairs >= 1]
    return {
        name: {far: threshold_for_far(values[different], weights, far) for far in fars}
        for name, values in scored.scores.items()
    }


def _judge(
    scored: _Scored, thresholds: dict[str, dict[float, float]], own_threshold: float, replicates: int, seed: int
) -> GroupFigures:
    """The figures of a group at given thresholds."""
    pairs = scored.pairs
    accepted = [scored.scores[HEAD] > own_threshold]
    for name, by_far in thresholds.items():
        accepted += [scored.scores[name] > threshold for threshold in by_far.values()]
    rates = iter(_rates(pairs, accepted, replicates, seed))
    own = next(rates)
    scorers = {}
    for name, by_far in thresholds.items():
        auc = roc(scored.scores[name], pairs.same, pairs.weights, True).auc if has_both_kinds(pairs.same) else None
        scorers[name] = GroupScorer(auc, {far: next(rates) for far in by_far})
    return GroupFigures(
        name=scored.name,
        people=scored.people,
        same_pairs=int(pairs.same.sum()),
        different_pairs=int((~pairs.same).sum()),
        doubles=scored.doubles,
        own_threshold=own,
        scorers=scorers,
    )


def _rates(pairs: Pairs, accepted: list[np.ndarray], replicates: int, seed: int) -> list[Rates]:
    """FAR and TAR for each mask of accepted pairs, all on the same resamplings."""
    estimates = []
    for kind in (~pairs.same, pairs.same):
        if not kind.any():
            estimates.append([Estimate(None)] * len(accepted))
            continue
        rng = np.random.default_rng(seed)
        samples = resampled_shares(accepted, kind, pairs.people, pairs.weights, replicates, rng)
        values = [float(np.average(mask[kind], weights=pairs.weights[kind])) for mask in accepted]
        estimates.append([Estimate(value, *interval(part)) for value, part in zip(values, samples, strict=True)])
    return [Rates(far, tar) for far, tar in zip(*estimates, strict=True)]


def _calibration(groups: list[_Scored]) -> float | None:
    """The head's calibration error on all groups together, in which every person counts the same."""
    same = np.concatenate([group.pairs.same for group in groups])
    if not has_both_kinds(same):
        return None
    weights = np.concatenate([_weights_by_person(group) for group in groups])
    return calibration_error(np.concatenate([group.scores[HEAD] for group in groups]), same, weights)


def _weights_by_person(group: _Scored) -> np.ndarray:
    """Weights with which a group's different pairs count as many as it has people.

    Its same pairs do already, see `sample_pairs`, as far as people have several photos. Pairs of people grow with
    the square of the people: a large folder would drown the others.
    """
    weights, different = group.pairs.weights, ~group.pairs.same
    total = weights[different].sum()
    return np.where(different, weights * group.people / total, weights) if total else weights
