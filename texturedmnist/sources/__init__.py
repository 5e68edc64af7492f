"""Raw pixels: handwritten digits and textures, decoded, with digests."""

from texturedmnist.sources.catalog import (
    SourceIndex,
    Sources,
    default_cache_dir,
    default_data_root,
    open_sources,
)
from texturedmnist.sources.digits import Digits, load_digits
from texturedmnist.sources.errors import SourceError, expand
from texturedmnist.sources.fetch import DOWNLOADS, describe_sources, download
from texturedmnist.sources.textures import (
    FileIndex,
    TextureBank,
    list_classes,
    open_textures,
)

__all__ = [
    "DOWNLOADS",
    "Digits",
    "FileIndex",
    "SourceError",
    "SourceIndex",
    "Sources",
    "TextureBank",
    "default_cache_dir",
    "default_data_root",
    "describe_sources",
    "download",
    "expand",
    "list_classes",
    "load_digits",
    "open_sources",
    "open_textures",
]
