"""Telling that memory ran out, whoever says so."""

import errno

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
