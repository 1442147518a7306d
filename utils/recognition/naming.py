"""Who a followed face is: decided over several observations at it, and kept until there is clear evidence.

A *observation* is one embedding of a face with the persons' scores that the gallery gives it. One observation may be
unlucky; a name that came and went with each would flicker.
"""

import numpy as np

from utils.log_odds import MIN_OBSERVED_LOG_ODDS, bounded_logits, logits, probabilities
from utils.recognition.gallery import Gallery
from utils.recognition.tracks import Observation

MAX_OBSERVATIONS = 10  # of a face that are kept: the best, older ones counting less
FIRST_OBSERVATIONS = 3  # that a new face gets in a row
HALF_LIFE = 10.0  # seconds after which a observation counts half
ALIKE = 0.2  # seconds between observations that are about one
MIN_INTERVAL = 0.1  # seconds between two observations at a face, after the first few
UNKNOWN_GAP, NAMED_GAP = 0.2, 1.0  # seconds after which a face is looked at anew, whatever it shows
BETTER = 1.2  # times as good as the best observation: worth another
MIN_WEIGHT = 0.01  # of a observation, however bad
HEAD_START = 2.0  # logits that the name which a face has is ahead of others
SURE_AT_ONCE = 1.0  # logits above the threshold at which one observation is enough for a name
BETTER_HALF = 0.5  # of the observations, by weight, that a person is judged by
# Of log odds of strangers, measured on a film's with two kinds of heads: where they are on average (−5.8, −10.3),
# the share of their variance that all observations at one face have in common (0.84, 0.86), and how much higher the
# better half of many observations is than all: from 0.8 (0.8 standard deviations within a face of the film) to more for
# photos of different days.
STRANGER, SHARED, GAIN = -6.0, 0.85, 2.0
ENOUGH_CONTRADICTIONS = 2  # observations in a row that clearly are of somebody else


def is_due(track, now: float) -> bool:
    """Whether a track's face should be looked at now: it is new, in doubt, clearly better, or it is time again."""
    if len(track.observations) < FIRST_OBSERVATIONS or track.uncertain or track.contradictions:
        return True
    gap = now - track.observations[-1].time
    if gap >= (NAMED_GAP if track.name else UNKNOWN_GAP):
        return True
    return gap >= MIN_INTERVAL and track.quality >= BETTER * max(
        observation.quality for observation in track.observations
    )


def weights(observations: list[Observation]) -> np.ndarray:
    """How much each observation counts, float (n,), of 1 in all: its quality, halved every HALF_LIFE seconds.

    Looks that see nearly the same picture share what one would count. The time that has passed since the
    last observation does not matter: it halves all alike.
    """
    quality = np.array([observation.quality for observation in observations]) + MIN_WEIGHT
    times = np.array([observation.time for observation in observations])
    weight = quality / temporal_density(observations) * 0.5 ** ((times.max() - times) / HALF_LIFE)
    return weight / weight.sum()


def keep_best(observations: list[Observation]) -> None:
    """Drop, in place, the observations that count least until MAX_OBSERVATIONS are left; the newest stays."""
    while len(observations) > MAX_OBSERVATIONS:
        del observations[int(weights(observations[:-1]).argmin())]


def combined_log_odds(observations: list[Observation]) -> np.ndarray:
    """The persons' log odds, float (p,), over several observations, on the scale of a single one.

    A face that turns away loses its likeness to itself, never gains one to others: each person is judged
    by the better half of the observations. What strangers gain by that is taken off. The rest scatters less than
    a single observation, for strangers by √(SHARED + (1 − SHARED)/n): stretched by that much, about as many
    strangers are beyond the threshold as with one observation, and far more of the person's own faces. What comes
    of it is measured by benchmarks/observations.py.
    """
    weight = weights(observations)
    odds = bounded_logits(np.stack([observation.scores for observation in observations]))
    order = np.argsort(-odds, axis=0)
    sorted_weight = weight[order]
    before = np.cumsum(sorted_weight, axis=0) - sorted_weight
    taken = np.clip(BETTER_HALF - before, 0, sorted_weight)
    better = np.sum(taken * np.take_along_axis(odds, order, axis=0), axis=0) / BETTER_HALF
    # The effective sample size of Kish, "Survey Sampling" (1965), of observations that are apart in time.
    count = max(1.0, min(float(np.sum(1 / temporal_density(observations))), float(1 / np.sum(weight**2))))
    better -= GAIN * (1 - 1 / np.sqrt(count))
    return STRANGER + (better - STRANGER) / np.sqrt(SHARED + (1 - SHARED) / count)


def temporal_density(observations: list[Observation]) -> np.ndarray:
    """For each observation, float (n,), how many fall within about ALIKE seconds of it, itself included."""
    times = np.array([observation.time for observation in observations])
    return np.exp(-np.abs(times[:, None] - times[None]) / ALIKE).sum(axis=1)


def update_names(tracks: list, gallery: Gallery) -> None:
    """Decide, in place, on the names and scores of the tracks in one picture, each with a observation or more.

    The gallery's own rule decides, on the scores over all observations; so no name goes to two faces. The name
    that a face has gets HEAD_START, and a first name needs two observations or one that is clear.
    """
    if not tracks:
        return
    for track in tracks:
        if track.odds is None:
            track.odds = combined_log_odds(track.observations)
    odds = np.stack([track.odds for track in tracks])
    persons = gallery.index_of
    for row, track in enumerate(tracks):
        if track.name in persons:
            odds[row, persons[track.name]] += HEAD_START
        for name in track.denied & persons.keys():
            odds[row, persons[name]] = MIN_OBSERVED_LOG_ODDS
    clear = logits(gallery.threshold) + SURE_AT_ONCE
    for track, decision in zip(tracks, gallery.decide(probabilities(odds)), strict=True):
        name = decision.name
        if (
            name is not None
            and name != track.name
            and len(track.observations) < 2
            and track.odds[persons[name]] < clear
        ):
            name = None
        track.name = name
        best = track.odds.max(initial=-np.inf) if name is None else track.odds[persons[name]]
        track.score = float(probabilities(best))


def add_observation(track, observation: Observation, gallery: Gallery) -> None:
    """Give a track a new observation. If observation after observation is of somebody else, the older ones are dropped.

    That is what happens when two people cross and a track goes on with the wrong one.
    """
    track.observations.append(observation)
    track.odds = None
    if track.name in gallery.index_of:
        own = observation.scores[gallery.index_of[track.name]]
        contradicts = observation.scores.max() > gallery.threshold and own < 0.5 * gallery.threshold
        track.contradictions = track.contradictions + 1 if contradicts else 0
        if track.contradictions >= ENOUGH_CONTRADICTIONS:
            del track.observations[: -track.contradictions]
            track.name, track.contradictions = None, 0
    keep_best(track.observations)
