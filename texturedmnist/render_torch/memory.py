"""The memory of a device: `free_bytes`, `check_memory`."""

import torch

GIB = 2**30


class DeviceError(ValueError):
    """A device that can't hold the textures, or has others than a plan needs."""


def free_bytes(device: torch.device) -> int | None:
    """Return how much memory can still be had on a GPU; None for another device."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    # What torch keeps for later use is free to us, though not to other processes.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + kept)


def check_memory(needed: int, device: torch.device, split: str) -> None:
    """Refuse what a device can't hold.

    Args:
        needed: bytes.
        device: any; only of a GPU the free memory is known.
        split: what they are for.

    Raises:
        DeviceError: they don't fit.
    """
    free = free_bytes(device)
    if free is not None and needed > free:
        raise DeviceError(
            f"the digits and textures of {split} need {needed / GIB:.1f} GiB on "
            f"{device}, where {free / GIB:.1f} GiB are free: end what else uses it, "
            "take a larger device, or render on the CPU (TexturedMNIST.read)"
        )
