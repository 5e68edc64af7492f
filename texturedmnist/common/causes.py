"""What stands behind an error: memory that ran out, a file in a package's place."""

import errno
from importlib.util import find_spec

WORDS = (  # of threads, torch, oneDNN, HDF5, C++ and the loader of shared libraries
    "can't start new thread",
    "DefaultCPUAllocator",
    "could not create a primitive",
    "memory allocation failed",
    "std::bad_alloc",
    "failed to map segment",
    "Cannot allocate memory",
)


def is_short_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, the system or a library says that memory ran out."""
    return (
        isinstance(error, MemoryError)
        or getattr(error, "errno", None) == errno.ENOMEM
        or type(error).__name__ == "OutOfMemoryError"  # torch's, of a GPU
        or any(words in str(error) for words in WORDS)
    )


def name_shadow(package: str) -> str:
    """Return a hint which file or folder Python takes for a package, by its top name.

    It is a part of a message, from its `;` on; empty if there is no such package.
    """
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return ""
    if spec is None:
        return ""
    places = [spec.origin, *(spec.submodule_search_locations or ())]
    place = next((one for one in places if one), "an unknown place")
    return (
        f"; Python takes {package} from {place}: if that is no such package but a file "
        "of yours, rename it or work in another folder"
    )
