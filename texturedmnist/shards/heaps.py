"""HDF5's heaps of strings, checked: on a damaged one HDF5 itself can loop for ever."""

import struct

SIGNATURE = b"GCOL"
HEADER = struct.Struct("<4sB3xQ")  # signature, version, size of the whole heap
OBJECT = struct.Struct("<HHIQ")  # index, references, nothing, size
ALIGNMENT = 8


def has_broken_heap(content: bytes) -> bool:
    """Whether a heap can't be gone through from its first object to its end.

    "Global heap collections" of the HDF5 File Format Specification, version 3.0,
    section III.E, in files whose lengths have 8 bytes. HDF5 (2.0 and before) never
    gets past an object without a size, such as where a block of zeros was written.

    Args:
        content: from the start of a file to the end of its heaps, or beyond.
    """
    start = content.find(SIGNATURE)
    while start >= 0:
        end = _end(content, start)
        if end is None:
            return True
        start = content.find(SIGNATURE, end)
    return False


def _end(content: bytes, start: int) -> int | None:
    """Return where a heap ends; None if it doesn't, or not as its objects say."""
    if start + HEADER.size > len(content):
        return None
    end = start + HEADER.unpack_from(content, start)[2]
    position = start + HEADER.size
    if not position < end <= len(content):
        return None
    while position + OBJECT.size <= end:  # too little room for one more is free
        index, _, _, size = OBJECT.unpack_from(content, position)
        padded = -(-size // ALIGNMENT) * ALIGNMENT
        # What is free, the object of index 0, counts its own head.
        step = OBJECT.size + padded if index else size
        if step < OBJECT.size:
            return None
        position += step
    return end if position <= end else None
