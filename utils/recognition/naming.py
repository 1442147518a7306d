"""Naming tracked faces: decided over several observations, and kept until there is clear evidence against it.

An *observation* is one embedding of a face with the scores that the gallery gives it. A single one may be
unlucky, and a name that changed with each of them would flicker.
"""

import numpy as np

from utils.log_odds import MIN_OBSERVED_LOG_ODDS, bounded_logits, logits, probabilities
from utils.recognition.gallery import Gallery
from utils.recognition.tracks import Observation, Track

MAX_OBSERVATIONS = 10  # kept per face: those with the most weight
FIRST_OBSERVATIONS = 3  # of a new face, in consecutive frames
HALF_LIFE = 10.0  # seconds after which an observation has half its weight
MIN_WEIGHT = 0.01  # added to every quality, so that even the worst observation counts a little
SAME_VIEW_SECONDS = 0.2  # observations this close show nearly the same picture and share one weight
MIN_INTERVAL = 0.1  # seconds between two observations of a face, after the first few
UNKNOWN_INTERVAL, SETTLED_INTERVAL = 0.2, 1.0  # seconds after which a face is observed again in any case
BETTER_QUALITY = 1.2  # times the best quality so far: worth another observation
CURRENT_NAME_BONUS = 2.0  # log odds by which a face's current name is ahead of others
CLEAR_MARGIN = 1.0  # log odds above the threshold at which one observation is enough for a first name
MIN_CONTRADICTIONS = 2  # observations in a row of somebody else after which the older ones are dropped

# How log odds of strangers behave, measured on a film with two kinds of heads.
STRANGER_LOG_ODDS = -6.0  # their mean: −5.8 and −10.3
SHARED_VARIANCE = 0.85  # share of their variance that all observations of one face have in common: 0.84 and 0.86
BETTER_HALF = 0.5  # of the observations, by weight, that each person is scored on
# Log odds that strangers gain from scoring many observations on their better half: from 0.8 (0.8 standard
# deviations within a face of the film) to more for photos taken on different days.
BETTER_HALF_GAIN = 2.0


def is_due(track: Track, now: float) -> bool:
    """Whether to observe a face now: it is new, uncertain or clearly better than before, or enough time has passed."""
    if len(track.observations) < FIRST_OBSERVATIONS or track.uncertain or track.contradictions:
        return True
    elapsed = now - track.observations[-1].time
    # A face that has stayed unknown so long is a stranger's, or too bad to name until it becomes better.
    settled = track.name or len(track.observations) == MAX_OBSERVATIONS
    if elapsed >= (SETTLED_INTERVAL if settled else UNKNOWN_INTERVAL):
        return True
    best_quality = max(observation.quality for observation in track.observations)
    return elapsed >= MIN_INTERVAL and track.face.quality >= BETTER_QUALITY * best_quality


def observation_weights(observations: list[Observation]) -> np.ndarray:
    """The weight of each observation, float (n,), 1 in all: its quality, halved every HALF_LIFE seconds.

    Observations of nearly the same picture share the weight of one. The time since the newest observation
    has no effect, since it would halve all weights alike.
    """
    quality = np.array([observation.quality for observation in observations]) + MIN_WEIGHT
    times = np.array([observation.time for observation in observations])
    weights = quality / temporal_density(observations) * 0.5 ** ((times.max() - times) / HALF_LIFE)
    return weights / weights.sum()


def keep_best(observations: list[Observation]) -> None:
    """Drop, in place, the observations with the least weight until MAX_OBSERVATIONS are left. The newest stays."""
    while len(observations) > MAX_OBSERVATIONS:
        del observations[int(observation_weights(observations[:-1]).argmin())]


def combined_log_odds(observations: list[Observation]) -> np.ndarray:
    """The log odds of each person, float (p,), over several observations, on the scale of a single one.

    A face that turns away looks less like its owner, but not more like anybody else. So each person is scored on
    the better half of the observations, and BETTER_HALF_GAIN, what strangers gain by that, is subtracted. The
    result scatters less than a single observation, for strangers by √(SHARED_VARIANCE + (1 − SHARED_VARIANCE)/n).
    It is stretched by that much, so that about as many strangers clear the threshold as with one observation, and
    far more of the enrolled faces. benchmarks/looks.py measures the effect.
    """
    weights = observation_weights(observations)
    log_odds = bounded_logits(np.stack([observation.scores for observation in observations]))
    # Among observations of nearly the same picture, the best one is the luckiest: they count by their mean.
    views = _same_view(observations)
    log_odds = views @ log_odds / views.sum(axis=1, keepdims=True)
    order = np.argsort(-log_odds, axis=0)
    sorted_weights = weights[order]
    before = np.cumsum(sorted_weights, axis=0) - sorted_weights
    used = np.clip(BETTER_HALF - before, 0, sorted_weights)
    better = np.sum(used * np.take_along_axis(log_odds, order, axis=0), axis=0) / BETTER_HALF
    # Kish's effective sample size, "Survey Sampling" (1965), of observations that are apart in time.
    count = max(1.0, min(float(np.sum(1 / temporal_density(observations))), float(1 / np.sum(weights**2))))
    better -= BETTER_HALF_GAIN * (1 - 1 / np.sqrt(count))
    spread = np.sqrt(SHARED_VARIANCE + (1 - SHARED_VARIANCE) / count)
    return STRANGER_LOG_ODDS + (better - STRANGER_LOG_ODDS) / spread


def temporal_density(observations: list[Observation]) -> np.ndarray:
    """How many observations lie within about SAME_VIEW_SECONDS of each, itself included, float (n,)."""
    return _same_view(observations).sum(axis=1)


def _same_view(observations: list[Observation]) -> np.ndarray:
    """How far each two observations show the same picture, float (n, n): 1 at the same time, 0 long after."""
    times = np.array([observation.time for observation in observations])
    return np.exp(-np.abs(times[:, None] - times[None]) / SAME_VIEW_SECONDS)


def update_names(tracks: list[Track], gallery: Gallery) -> None:
    """Update, in place, the names and scores of the tracks in one frame. Each needs at least one observation.

    The gallery decides on the combined scores, so no two faces get the same name. A face's current name
    gets CURRENT_NAME_BONUS. A new name needs two observations, or a single clear one.
    """
    if not tracks:
        return
    for track in tracks:
        if track.log_odds is None:
            track.log_odds = combined_log_odds(track.observations)
    adjusted = np.stack([track.log_odds for track in tracks])
    index_of = gallery.index_of
    for row, track in enumerate(tracks):
        if track.name in index_of:
            adjusted[row, index_of[track.name]] += CURRENT_NAME_BONUS
        for name in track.denied & index_of.keys():
            adjusted[row, index_of[name]] = MIN_OBSERVED_LOG_ODDS
    clear = logits(gallery.threshold) + CLEAR_MARGIN
    for track, decision in zip(tracks, gallery.decide(probabilities(adjusted)), strict=True):
        name = decision.name
        is_new = name is not None and name != track.name
        if is_new and len(track.observations) < 2 and track.log_odds[index_of[name]] < clear:
            name = None
        track.name = name
        best = track.log_odds.max(initial=-np.inf) if name is None else track.log_odds[index_of[name]]
        track.score = float(probabilities(best))


def add_observation(track: Track, observation: Observation, gallery: Gallery) -> None:
    """Add an observation to a track. After MIN_CONTRADICTIONS that show somebody else, drop those before them.

    This happens when two people cross and a track continues on the wrong one.
    """
    track.observations.append(observation)
    track.log_odds = None
    if track.name in gallery.index_of:
        name_score = observation.scores[gallery.index_of[track.name]]
        contradicts = observation.scores.max() > gallery.threshold and name_score < 0.5 * gallery.threshold
        track.contradictions = track.contradictions + 1 if contradicts else 0
        if track.contradictions >= MIN_CONTRADICTIONS:
            del track.observations[: -track.contradictions]
            track.name, track.contradictions = None, 0
    keep_best(track.observations)
