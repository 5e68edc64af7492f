"""The embedded textures: 47 procedural classes named after DTD's, numpy only."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from texturedmnist.recipe import DTD_CLASSES
from texturedmnist.sources.errors import SourceError
from texturedmnist.sources.procedural import lattices, lines, matter, spots, threads
from texturedmnist.sources.procedural.canvas import Canvas, Field, RandomStream
from texturedmnist.sources.procedural.palette import color_tones, make_palette

CLASSES: tuple[str, ...] = DTD_CLASSES
FINEST = 112  # px; smaller textures are painted larger and averaged down
ZOOMS = (0.65, 1.15)  # bounds of an instance's zoom
# glibc returns freed arrays to the system, which then has to clear them again, unless
# one as large as this was freed before; asking for it (untouched, so free of cost)
# makes painting twice as fast.
KEPT_BYTES = 24 << 20

# A painter fills a canvas with tones: 0 is dark, 1 is light, what lies beyond is cut.
PAINTERS: Mapping[str, Callable[[Canvas], Field]] = MappingProxyType(
    {
        "banded": lines.banded,
        "blotchy": matter.blotchy,
        "braided": threads.braided,
        "bubbly": spots.bubbly,
        "bumpy": spots.bumpy,
        "chequered": lattices.chequered,
        "cobwebbed": threads.cobwebbed,
        "cracked": matter.cracked,
        "crosshatched": threads.crosshatched,
        "crystalline": matter.crystalline,
        "dotted": lattices.dotted,
        "fibrous": lines.fibrous,
        "flecked": spots.flecked,
        "freckled": spots.freckled,
        "frilly": lines.frilly,
        "gauzy": threads.gauzy,
        "grid": lattices.grid,
        "grooved": lines.grooved,
        "honeycombed": lattices.honeycombed,
        "interlaced": threads.interlaced,
        "knitted": threads.knitted,
        "lacelike": threads.lacelike,
        "lined": lines.lined,
        "marbled": matter.marbled,
        "matted": threads.matted,
        "meshed": lattices.meshed,
        "paisley": lattices.paisley,
        "perforated": lattices.perforated,
        "pitted": spots.pitted,
        "pleated": lines.pleated,
        "polka-dotted": lattices.polka_dotted,
        "porous": spots.porous,
        "potholed": spots.potholed,
        "scaly": lattices.scaly,
        "smeared": lines.smeared,
        "spiralled": lines.spiralled,
        "sprinkled": spots.sprinkled,
        "stained": matter.stained,
        "stratified": lines.stratified,
        "striped": lines.striped,
        "studded": lattices.studded,
        "swirly": lines.swirly,
        "veined": matter.veined,
        "waffled": lattices.waffled,
        "woven": threads.woven,
        "wrinkled": matter.wrinkled,
        "zigzagged": lines.zigzagged,
    }
)


def render_texture(name: str, instance: int, size: int) -> NDArray[np.uint8]:
    """Paint one instance of a texture class.

    A pure function, the same bytes on every machine. Features are sized to the image.

    Args:
        name: one of `CLASSES`.
        instance: >= 0; chooses scale, place, direction and colors.
        size: height and width in px, 28 to 700.

    Returns:
        (size, size, 3) uint8 RGB in [0, 255].

    Raises:
        SourceError: the class is unknown.
    """
    if name not in PAINTERS:
        raise SourceError(
            f"no embedded texture class {name!r}; known: {', '.join(CLASSES)}"
        )
    np.empty(KEPT_BYTES, np.uint8)  # freed at once
    dice = RandomStream(CLASSES.index(name) << 32 | instance)
    palette = make_palette(dice)
    finer = -(-FINEST // size)
    zoom = dice.between(*ZOOMS)
    tone = PAINTERS[name](Canvas(size * finer, dice, zoom))
    return _average(color_tones(tone, palette), finer)


def _average(pixels: NDArray[np.uint8], finer: int) -> NDArray[np.uint8]:
    """Replace each square of finer x finer pixels by its rounded mean."""
    if finer == 1:
        return pixels
    side = len(pixels) // finer
    blocks = pixels.reshape(side, finer, side, finer, 3)
    total = blocks.sum((1, 3), dtype=np.int64)
    mean: NDArray[np.uint8] = ((total * 2 + finer**2) // (2 * finer**2)).astype(
        np.uint8
    )
    return mean
