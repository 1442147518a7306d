"""The packages of the suite, one for each step of its pipeline."""
