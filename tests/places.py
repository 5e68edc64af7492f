"""Which devices the operations of some code touch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Places(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects in `devices` the device types of all tensors in operations.

    Together with `FakeTensorMode`, which gives tensors any device, it tells without a
    GPU what would be copied to one or from it.
    """

    def __init__(self) -> None:
        """Start with none."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.devices: set[str] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 (whatever the operation gives)
        """Run an operation and note the devices."""
        out = func(*args, **(kwargs or {}))
        leaves = tree_leaves((args, kwargs, out))
        self.devices |= {one.device.type for one in leaves if isinstance(one, Tensor)}
        return out
