"""The global random generators, which nothing of ours may touch."""

import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def untouched() -> Iterator[None]:
    """Check that a block leaves the states of Python, numpy and torch as they were."""

    def states() -> bytes:
        legacy = np.random.get_state()  # noqa: NPY002 (what we must not touch)
        return pickle.dumps((random.getstate(), legacy, torch.get_rng_state().tolist()))

    before = states()
    yield
    assert states() == before
