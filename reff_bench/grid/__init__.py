"""A grid of runs: read, checked, expanded to runs."""
