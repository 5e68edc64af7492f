"""Other people's interfaces to a dataset, and its export to their formats.

Each name is resolved when it is first used; only then is the package that it stands on
imported. One that isn't installed is a `MissingPackageError`, which says how to get it.
"""

import importlib
from typing import TYPE_CHECKING

from texturedmnist.interop.errors import EmptyGroupsWarning, MissingPackageError

if TYPE_CHECKING:
    from texturedmnist.interop.domainbed import DomainBedTexturedMNIST
    from texturedmnist.interop.huggingface import huggingface_dataset
    from texturedmnist.interop.spuco import SpuCoTexturedMNIST, spuco_dataset
    from texturedmnist.interop.wilds import WILDSTexturedMNIST, wilds_dataset

__all__ = [
    "DomainBedTexturedMNIST",
    "EmptyGroupsWarning",
    "MissingPackageError",
    "SpuCoTexturedMNIST",
    "WILDSTexturedMNIST",
    "huggingface_dataset",
    "spuco_dataset",
    "wilds_dataset",
]

_MODULE_OF = {
    "DomainBedTexturedMNIST": "texturedmnist.interop.domainbed",
    "SpuCoTexturedMNIST": "texturedmnist.interop.spuco",
    "WILDSTexturedMNIST": "texturedmnist.interop.wilds",
    "huggingface_dataset": "texturedmnist.interop.huggingface",
    "spuco_dataset": "texturedmnist.interop.spuco",
    "wilds_dataset": "texturedmnist.interop.wilds",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
