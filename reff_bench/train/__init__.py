"""One run: pseudo-annotations, the training loop, checkpoints."""
