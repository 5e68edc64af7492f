"""The figures of a page, within it, small enough for one file."""

import io
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image

ROOM = 6_500_000  # bytes of figures in a page: 8.7 MB in base64, the page under 10 MB
COLORS = 256


def read_figures(folder: Path, captions: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Read figures, with fewer colors where all of them would be too large.

    What has no room even so comes without its content.

    Args:
        folder: of their PNG files, beside the page.
        captions: by name of the figure.
    """
    contents = {name: (folder / f"{name}.png").read_bytes() for name in captions}
    note = ""
    if sum(map(len, contents.values())) > ROOM:
        contents = {name: _with_fewer_colors(png) for name, png in contents.items()}
        note = " Shown in fewer colors than the file:"
    room = ROOM
    for name, png in contents.items():
        fits = len(png) <= room
        room -= len(png) if fits else 0
        yield {
            "name": name,
            "path": f"{folder.name}/{name}.png",
            "caption": captions[name] + note,
            "png": b64encode(png).decode() if fits else "",
        }


def _with_fewer_colors(png: bytes) -> bytes:
    """Return an image with a palette, or as it is where that isn't smaller."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        colors = image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    colors.save(file, "png", optimize=True)
    return min(png, file.getvalue(), key=len)
