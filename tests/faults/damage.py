"""Damage as disks, copies and people do it to files, and files made to do harm."""

import io
import random
import struct
import zlib
from pathlib import Path

from PIL import Image


def flip(content: bytearray, draw: random.Random) -> None:
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def zero(content: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(content))
    end = min(len(content), start + draw.choice((1, 16, 512, 4096)))
    content[start:end] = bytes(end - start)


def cut(content: bytearray, draw: random.Random) -> None:
    del content[draw.randrange(len(content)) :]


def append(content: bytearray, draw: random.Random) -> None:
    content += draw.randbytes(draw.choice((1, 16, 4096)))


def drop(content: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(content))
    del content[start : start + draw.choice((1, 16, 512))]


KINDS = (flip, zero, cut, append, drop)


def damage(out: Path, draw: random.Random) -> tuple[str, set[Path]]:
    """Damage a file at any depth, delete or swap it; say what, and in which files.

    Hidden and empty ones are left alone.
    """
    found = sorted(path for path in out.rglob("[!.]*") if path.is_file())
    files = [path for path in found if path.stat().st_size]
    path = draw.choice(files)
    kind = draw.randrange(len(KINDS) + 2)
    if kind == len(KINDS):
        path.unlink()
        return f"{path.name} deleted", {path}
    if kind > len(KINDS):
        other = draw.choice([one for one in files if one.suffix == path.suffix])
        ours, theirs = path.read_bytes(), other.read_bytes()
        path.write_bytes(theirs)
        other.write_bytes(ours)
        return f"{path} swapped with {other}", {path, other}
    content = bytearray(path.read_bytes())
    KINDS[kind](content, draw)
    path.write_bytes(content)
    return f"{path.name}: {KINDS[kind].__name__}", {path}


def bomb(kind: str) -> bytes:
    """Return a PNG or JPEG of 60,000 x 60,000 pixels, 10 GB decoded, in some kB."""
    stream, size = io.BytesIO(), struct.pack(">2I", 60_000, 60_000)
    Image.new("RGB", (8, 8)).save(stream, kind)
    data = bytearray(stream.getvalue())
    if kind == "JPEG":
        frame = data.index(b"\xff\xc0")  # marker, length, bits, height, width
        data[frame + 5 : frame + 9] = struct.pack(">2H", 60_000, 60_000)
    else:
        header = b"IHDR" + size + data[24:29]
        data[12:33] = header + struct.pack(">I", zlib.crc32(header))
    return bytes(data)
