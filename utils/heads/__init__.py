"""From two feature vectors to the probability of one person: training, calibration, threshold."""
