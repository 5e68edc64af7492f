"""The dataset that the benchmarks make and read, wherever its sources are."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.memory import peak_memory
from texturedmnist.recipe import Recipe
from texturedmnist.sources import Sources, open_sources

if TYPE_CHECKING:  # workers, who import this module, shouldn't load torch
    from texturedmnist import TexturedMNIST

BG, TEX = 0.2, 0.5
IMAGE_SIZE = 224  # px
COMMAND = str(Path(sys.executable).with_name("texturedmnist"))
FIELDS = (
    *("bg", "tex", "train", "val", "test", "image_size"),
    *("digits", "digit_textures", "background_textures"),
)
THREADS = "OPENBLAS_NUM_THREADS"  # set to 1 by the scripts, not for what they start


@dataclass(frozen=True, slots=True)
class Case:
    """Where the samples come from.

    Attributes:
        data_root: of MNIST and DTD, or None for the embedded sources.
        backgrounds: `dtd` or `embedded`.
        cache_dir: of decoded textures, or None for the user's.
    """

    data_root: Path | None
    backgrounds: str
    cache_dir: Path | None

    def recipe(self, samples: int, image_size: int = IMAGE_SIZE) -> Recipe:
        """Return the recipe of so many training samples and no others."""
        real = self.data_root is not None
        return Recipe(
            bg=BG,
            tex=TEX,
            train=samples,
            val=0,
            test=0,
            image_size=image_size,
            digits="mnist" if real else "embedded",
            digit_textures="dtd" if real else "embedded",
            background_textures=self.backgrounds if real else "embedded",
        )

    def on_the_fly(
        self, samples: int, image_size: int = IMAGE_SIZE, **options: Any
    ) -> "TexturedMNIST":
        """Open the samples to be rendered when read."""
        from texturedmnist import TexturedMNIST

        return TexturedMNIST.from_recipe(
            self.recipe(samples, image_size),
            target_types=["mask", "label"],
            data_root=self.data_root,
            cache_dir=self.cache_dir,
            **options,
        )

    def open_sources(self) -> Sources:
        """Open the digits and textures, decoded into the cache if they aren't yet."""
        return open_sources(
            self.recipe(1), data_root=self.data_root, cache_dir=self.cache_dir
        )

    def command(
        self, out: Path, samples: int, *options: str, image_size: int = IMAGE_SIZE
    ) -> list[str]:
        """Return the command line that generates the same samples."""
        recipe = self.recipe(samples, image_size)
        values = {name: getattr(recipe, name) for name in FIELDS}
        values |= {"data_root": self.data_root, "cache_dir": self.cache_dir, "out": out}
        given = {name: value for name, value in values.items() if value is not None}
        words = [f"--{name.replace('_', '-')}={one}" for name, one in given.items()]
        return [COMMAND, "generate", *words, *options]

    def __str__(self) -> str:
        """Name the sources."""
        if self.data_root is None:
            return "embedded digits and textures"
        return f"MNIST, DTD's digit textures, {self.backgrounds} backgrounds"


def run(command: Sequence[str], *, watch: bool = False) -> int:
    """Run a command as its user would: quietly, with no limit on its threads.

    Returns:
        Its peak unshared memory in bytes, of all its processes; 0 if not watched.

    Raises:
        CalledProcessError: it failed.
    """
    process = subprocess.Popen(
        command,
        env={name: value for name, value in os.environ.items() if name != THREADS},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    peak = peak_memory(process) if watch else 0
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return peak


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
