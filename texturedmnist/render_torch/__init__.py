"""The pixels and the mask of planned samples on a torch device: the bytes of `compose`.

Only whole numbers are computed with, so that no device, BLAS or precision setting can
change a byte. No call but the loading of the sources waits for the device.
"""

from texturedmnist.render_torch.render import (
    DeviceError,
    DeviceSources,
    bytes_needed,
    free_bytes,
)

__all__ = ["DeviceError", "DeviceSources", "bytes_needed", "free_bytes"]
