"""The global random generators, which nothing of ours may touch."""

import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def random_states() -> bytes:
    """The states of Python's, numpy's and torch's global generators."""
    legacy = np.random.get_state()  # noqa: NPY002 (the state that we must not touch)
    return pickle.dumps((random.getstate(), legacy, torch.get_rng_state().tolist()))


@contextmanager
def untouched() -> Iterator[None]:
    """Check that a block leaves all three as they were."""
    before = random_states()
    yield
    assert random_states() == before
