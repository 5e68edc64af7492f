"""Opening the data of a run: `open_data`."""

from pathlib import Path

import torch

from reff_bench.catalog.datasets import find_dataset
from reff_bench.data.resident import resolve_device
from reff_bench.data.split import Data
from reff_bench.data.textured_mnist import open_textured_mnist
from reff_bench.data.tree import open_tree
from reff_bench.grid.config import RunConfig
from reff_bench.grid.errors import GridError
from reff_bench.identity.tree import DataError
from texturedmnist.common.cache import Cache
from texturedmnist.common.text import shown_text
from texturedmnist.manifest import DatasetError
from texturedmnist.sources import SourceError, default_cache_dir, default_data_root


def open_data(
    config: RunConfig,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    device: torch.device | str = "cpu",
    cache: Cache | None = None,
) -> Data:
    """Open the data of a run.

    On a GPU pixels live there, or are rendered there, as long as half of its memory
    stays free; else they are read on the CPU and sent ahead of their use. The batches
    are the same.

    Args:
        config: what it needs.
        data_root: where the data are; $TEXTUREDMNIST_DATA or `data` by default.
        cache_dir: where decoded textures are kept; the user's cache by default.
        device: where batches will be used.
        cache: of the worker: what was opened stays there for its next run, and is
            taken from there; by default nothing stays.

    Raises:
        DataError: they aren't there, are damaged, or others than the run was planned
            with.
    """
    data_root = default_data_root() if data_root is None else data_root
    cache_dir = default_cache_dir() if cache_dir is None else cache_dir
    open_kind = (
        open_textured_mnist if find_dataset(config.dataset).rendered else open_tree
    )
    try:
        data = open_kind(
            cache or Cache(), config, data_root, cache_dir, resolve_device(device)
        )
    except (GridError, SourceError, DatasetError) as error:
        raise DataError(str(error)) from None
    if config.data_identity not in (None, data.identity):
        planned = shown_text(str(config.data_identity)[:12])
        raise DataError(
            f"the data of this run have changed since it was planned (identity "
            f"{planned}, now {data.identity[:12]}); run the grid "
            "again to plan it with these"
        )
    return data
