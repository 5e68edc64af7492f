"""The figures' files, small enough for one page: `read_pictures`."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from reff_bench.report.page.content import Picture

ROOM = 6_500_000  # bytes of figures in a page: 8.7 MB in base64, the page under 10 MB
COLOURS = 256


def read_pictures(out: Path, pictures: Sequence[tuple[str, Path]]) -> list[Picture]:
    """Read figures, with fewer colours where all of them would be too large.

    What has no room even so comes without its content.

    Args:
        out: the folder of the page.
        pictures: captions and PNG files under `out`.
    """
    contents = [path.read_bytes() for _, path in pictures]
    reduced = sum(map(len, contents)) > ROOM
    if reduced:
        contents = [_with_fewer_colours(png) for png in contents]
    found = []
    room = ROOM
    for (caption, path), content in zip(pictures, contents, strict=True):
        png = content if len(content) <= room else None
        room -= len(content) if png is not None else 0
        place = path.relative_to(out).as_posix()
        found.append(Picture(caption, place, png, reduced))
    return found


def _with_fewer_colours(png: bytes) -> bytes:
    """Return a picture with a palette, or as it is where that isn't smaller."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        colours = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    colours.save(file, "png", optimize=True)
    return min(png, file.getvalue(), key=len)
