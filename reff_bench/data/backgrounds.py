"""Test samples of a Textured MNIST on other backgrounds: `open_backgrounds`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from reff_bench.data.pixels import Pixels, PixelSource, SamplePixels
from reff_bench.data.textured_mnist import open_renderer
from reff_bench.grid.config import RunConfig
from reff_bench.identity.tree import DataError
from texturedmnist.common.cache import Cache
from texturedmnist.dataset.samples import RenderedSamples
from texturedmnist.sources import default_cache_dir, default_data_root

RANDOMNESS = {"aligned": 0.0, "random": 1.0}


@dataclass(frozen=True, slots=True)
class Backgrounds:
    """The test samples on other backgrounds: no pixel of a digit changes in three.

    Attributes:
        aligned: of classes assigned to the label, as with `test_bg` 0.
        random: of classes drawn from all, as with `test_bg` 1.
        counterfactual: each of a class drawn from all but the sample's own.
        shortcuts: the samples with (background, digit texture) each `aligned` or
            `random`, as with `test_bg` and `test_tex` 0 or 1: here the digits'
            textures change, too.
    """

    aligned: PixelSource
    random: PixelSource
    counterfactual: PixelSource
    shortcuts: Mapping[tuple[str, str], PixelSource]


@dataclass(frozen=True, slots=True)
class CounterfactualPixels:
    """Samples with another background class, rendered when they are asked for."""

    samples: RenderedSamples

    def read(self, indices: Tensor) -> Pixels:
        """Return the samples."""
        pixels, _ = self.samples.read_counterfactuals(
            indices.numpy(), "background_texture"
        )
        images = torch.from_numpy(pixels[0]).permute(0, 3, 1, 2).contiguous()
        return images, torch.from_numpy(pixels[1])


def open_backgrounds(
    config: RunConfig,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    cache: Cache | None = None,
) -> Backgrounds:
    """Open other backgrounds for the run's test samples; nothing is rendered yet.

    Everything is as of `reff_bench.data.opening.open_data`.

    Raises:
        DataError: the data can't be rendered: photographs, or a folder whose sources
            aren't there any more.
    """
    if config.dataset != "textured_mnist":
        raise DataError(
            f"{config.dataset} can't be rendered on other backgrounds; only "
            "textured_mnist can"
        )
    data_root = default_data_root() if data_root is None else data_root
    cache_dir = default_cache_dir() if cache_dir is None else cache_dir
    samples = open_renderer(cache or Cache(), config, data_root, cache_dir, "test")
    return Backgrounds(
        aligned=_with_randomness(samples, test_bg=0.0),
        random=_with_randomness(samples, test_bg=1.0),
        counterfactual=CounterfactualPixels(samples),
        shortcuts={
            (bg, tex): _with_randomness(
                samples, test_bg=RANDOMNESS[bg], test_tex=RANDOMNESS[tex]
            )
            for bg in RANDOMNESS
            for tex in RANDOMNESS
        },
    )


def _with_randomness(samples: RenderedSamples, **randomness: float) -> SamplePixels:
    recipe = samples.recipe.model_copy(update=randomness)
    return SamplePixels(RenderedSamples(recipe, samples.sources, samples.split))
