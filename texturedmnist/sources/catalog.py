"""Everything that a recipe's samples are made of, opened."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from texturedmnist.recipe import (
    Assignment,
    Recipe,
    dataset_identity,
    resolve_assignment,
)
from texturedmnist.sources.digits import Digits, load_digits
from texturedmnist.sources.errors import SourceError, expand
from texturedmnist.sources.fetch import DOWNLOADS, is_there
from texturedmnist.sources.fetch import download as fetch
from texturedmnist.sources.textures import (
    FileIndex,
    TextureBank,
    list_classes,
    open_textures,
)


@dataclass(frozen=True, slots=True)
class SourceIndex:
    """Everything of the sources that a sample's random choices depend on.

    Attributes:
        labels: (N,) uint8 in [0, 9], one per digit image.
        development: the first so many digits are train's and val's, the rest test's.
        assignment: which classes are assigned to which digit.
        digit_textures: the files of the ten digit-texture classes.
        background_textures: the files of the background classes.
    """

    labels: NDArray[np.uint8]
    development: int
    assignment: Assignment
    digit_textures: FileIndex
    background_textures: FileIndex


@dataclass(frozen=True, slots=True)
class Sources:
    """Digits and textures of a recipe; picklable, textures without their pixels.

    Attributes:
        digits: all digit images.
        digit_textures: the images of the ten digit-texture classes.
        background_textures: the images of the background classes.
        index: what a plan needs to know of them.
        digests: sha256 (hex) of the decoded `digits`, `digit_textures` and
            `background_textures`; part of a dataset's identity.
    """

    digits: Digits
    digit_textures: TextureBank
    background_textures: TextureBank
    index: SourceIndex
    digests: dict[str, str]

    def identity(self, recipe: Recipe) -> str:
        """Return the sha256 (hex) that names what the recipe makes of these."""
        return dataset_identity(recipe.canonical(self.index.assignment), self.digests)


def default_data_root() -> Path:
    """Return $TEXTUREDMNIST_DATA, else `data`.

    Raises:
        SourceError: it starts with `~` and there is no home folder.
    """
    return expand(os.environ.get("TEXTUREDMNIST_DATA") or "data")


def default_cache_dir() -> Path:
    """Return `texturedmnist` in the user's cache folder.

    Raises:
        SourceError: the user has no home folder, as in some containers.
    """
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError:
        raise SourceError(
            "there is no home folder to keep decoded textures in (no HOME, and the "
            "user isn't known here): name a folder with --cache-dir DIR, or set "
            "XDG_CACHE_HOME or HOME"
        ) from None
    return base / "texturedmnist"


def open_sources(
    recipe: Recipe,
    *,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    download: bool = False,
    check: bool = False,
    progress: bool = False,
    jobs: int = 1,
) -> Sources:
    """Open all that a recipe needs.

    Args:
        recipe: names the sources and, in the end, the classes.
        data_root: where MNIST and DTD are; `default_data_root()` by default. `~` is
            the home folder, here and below.
        cache_dir: where decoded textures are kept; `default_cache_dir()` by default.
        download: fetch MNIST and DTD where the recipe needs them and they are absent.
        check: compare all cached pixels with their digests; see `open_textures`.
        progress: show bars, on a terminal only.
        jobs: processes that decode; see `open_textures`.

    Raises:
        RecipeError: the assignment doesn't fit the sources' classes.
        SourceError: a source is absent or damaged.
    """
    data_root = default_data_root() if data_root is None else expand(data_root)
    roles = recipe.digit_textures, recipe.background_textures
    assignment = resolve_assignment(recipe, *map(list_classes, roles))
    if download:
        for name in DOWNLOADS:
            if name in {recipe.digits, *roles} and not is_there(name, data_root):
                fetch(name, data_root)
    digits = load_digits(recipe.digits, data_root)
    open_role = partial(
        open_textures,
        data_root=data_root,
        cache_dir=default_cache_dir() if cache_dir is None else expand(cache_dir),
        instances=recipe.embedded_instances,
        partition=recipe.dtd_partition,
        check=check,
        progress=progress,
        jobs=jobs,
    )
    inside = open_role(
        roles[0], assignment.digit_classes, min_side=recipe.digit_size_px
    )
    outside = open_role(
        roles[1], assignment.background_classes, min_side=recipe.image_size
    )
    return Sources(
        digits=digits,
        digit_textures=inside,
        background_textures=outside,
        index=SourceIndex(
            digits.labels, digits.development, assignment, inside.index, outside.index
        ),
        digests={
            "digits": digits.digest,
            "digit_textures": inside.digest,
            "background_textures": outside.digest,
        },
    )
