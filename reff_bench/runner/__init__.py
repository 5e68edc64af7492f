"""A grid over worker processes: check names, plan, run, resume, retry."""
