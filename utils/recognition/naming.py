"""Who a followed face is: decided over several looks at it, and kept until there is clear evidence.

A *look* is one embedding of a face with the persons' scores that the gallery gives it. One look may be
unlucky; a name that came and went with each would flicker.
"""

import numpy as np

from utils.log_odds import MIN_OBSERVED_LOG_ODDS, bounded_logits, logits, probabilities
from utils.recognition.gallery import Gallery
from utils.recognition.tracks import Look

MAX_OBSERVATIONS = 10  # of a face that are kept: the best, older ones counting less
FIRST_OBSERVATIONS = 3  # that a new face gets in a row
HALF_LIFE = 10.0  # seconds after which a look counts half
ALIKE = 0.2  # seconds between looks that are about one
MIN_INTERVAL = 0.1  # seconds between two looks at a face, after the first few
UNKNOWN_GAP, NAMED_GAP = 0.2, 1.0  # seconds after which a face is looked at anew, whatever it shows
BETTER = 1.2  # times as good as the best look: worth another
MIN_WEIGHT = 0.01  # of a look, however bad
HEAD_START = 2.0  # logits that the name which a face has is ahead of others
SURE_AT_ONCE = 1.0  # logits above the threshold at which one look is enough for a name
BETTER_HALF = 0.5  # of the looks, by weight, that a person is judged by
# Of log odds of strangers, measured on a film's with two kinds of heads: where they are on average (−5.8, −10.3),
# the share of their variance that all looks at one face have in common (0.84, 0.86), and how much higher the
# better half of many looks is than all: from 0.8 (0.8 standard deviations within a face of the film) to more for
# photos of different days.
STRANGER, SHARED, GAIN = -6.0, 0.85, 2.0
ENOUGH_CONTRADICTIONS = 2  # looks in a row that clearly are of somebody else


def is_due(track, now: float) -> bool:
    """Whether a track's face should be looked at now: it is new, in doubt, clearly better, or it is time again."""
    if len(track.looks) < FIRST_OBSERVATIONS or track.doubted or track.contradictions:
        return True
    gap = now - track.looks[-1].time
    if gap >= (NAMED_GAP if track.name else UNKNOWN_GAP):
        return True
    return gap >= MIN_INTERVAL and track.quality >= BETTER * max(look.quality for look in track.looks)


def weights(looks: list[Look]) -> np.ndarray:
    """How much each look counts, float (n,), of 1 in all: its quality, halved every HALF_LIFE seconds.

    Looks that see nearly the same picture share what one would count. The time that has passed since the
    last look does not matter: it halves all alike.
    """
    quality = np.array([look.quality for look in looks]) + MIN_WEIGHT
    times = np.array([look.time for look in looks])
    weight = quality / crowding(looks) * 0.5 ** ((times.max() - times) / HALF_LIFE)
    return weight / weight.sum()


def keep_best(looks: list[Look]) -> None:
    """Drop, in place, the looks that count least until MAX_OBSERVATIONS are left; the newest stays."""
    while len(looks) > MAX_OBSERVATIONS:
        del looks[int(weights(looks[:-1]).argmin())]


def evidence(looks: list[Look]) -> np.ndarray:
    """The persons' log odds, float (p,), over several looks: on the scale of one look's, for the same threshold.

    A face that turns away loses its likeness to itself, never gains one to others: each person is judged
    by the better half of the looks. What strangers gain by that is taken off. The rest scatters less than
    a single look, for strangers by √(SHARED + (1 − SHARED)/n): stretched by that much, about as many
    strangers are beyond the threshold as with one look, and far more of the person's own faces. What comes
    of it is measured by benchmarks/looks.py.
    """
    weight = weights(looks)
    odds = bounded_logits(np.stack([look.scores for look in looks]))
    order = np.argsort(-odds, axis=0)
    sorted_weight = weight[order]
    before = np.cumsum(sorted_weight, axis=0) - sorted_weight
    taken = np.clip(BETTER_HALF - before, 0, sorted_weight)
    better = np.sum(taken * np.take_along_axis(odds, order, axis=0), axis=0) / BETTER_HALF
    # As many looks as would weigh the same: Kish, "Survey Sampling" (1965), of looks that are apart in time.
    count = max(1.0, min(float(np.sum(1 / crowding(looks))), float(1 / np.sum(weight**2))))
    better -= GAIN * (1 - 1 / np.sqrt(count))
    return STRANGER + (better - STRANGER) / np.sqrt(SHARED + (1 - SHARED) / count)


def crowding(looks: list[Look]) -> np.ndarray:
    """How many looks see nearly the same picture as each, float (n,), itself included: those within ALIKE seconds."""
    times = np.array([look.time for look in looks])
    return np.exp(-np.abs(times[:, None] - times[None]) / ALIKE).sum(axis=1)


def settle(tracks: list, gallery: Gallery) -> None:
    """Decide, in place, on the names and scores of the tracks in one picture, each with a look or more.

    The gallery's own rule decides, on the scores over all looks; so no name goes to two faces. The name
    that a face has gets HEAD_START, and a first name needs two looks or one that is clear.
    """
    if not tracks:
        return
    for track in tracks:
        if track.odds is None:
            track.odds = evidence(track.looks)
    odds = np.stack([track.odds for track in tracks])
    persons = gallery.persons
    for row, track in enumerate(tracks):
        if track.name in persons:
            odds[row, persons[track.name]] += HEAD_START
        for name in track.denied & persons.keys():
            odds[row, persons[name]] = MIN_OBSERVED_LOG_ODDS
    clear = logits(gallery.threshold) + SURE_AT_ONCE
    for track, decision in zip(tracks, gallery.decide(probabilities(odds)), strict=True):
        name = decision.name
        if name is not None and name != track.name and len(track.looks) < 2 and track.odds[persons[name]] < clear:
            name = None
        track.name = name
        best = track.odds.max(initial=-np.inf) if name is None else track.odds[persons[name]]
        track.score = float(probabilities(best))


def add_look(track, look: Look, gallery: Gallery) -> None:
    """Give a track a new look. If look after look is of somebody else, the older ones are dropped.

    That is what happens when two people cross and a track goes on with the wrong one.
    """
    track.looks.append(look)
    track.odds = None
    if track.name in gallery.persons:
        own = look.scores[gallery.persons[track.name]]
        contradicts = look.scores.max() > gallery.threshold and own < 0.5 * gallery.threshold
        track.contradictions = track.contradictions + 1 if contradicts else 0
        if track.contradictions >= ENOUGH_CONTRADICTIONS:
            del track.looks[: -track.contradictions]
            track.name, track.contradictions = None, 0
    keep_best(track.looks)
