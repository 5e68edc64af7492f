"""TensorBoard event files, if they are asked for: `event_files`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from reff_bench.results.progress import RunError

FOLDER = "tensorboard"


@contextmanager
def event_files(
    folder: Path, *, wanted: bool
) -> Iterator[Callable[[Mapping[str, float], int], None]]:
    """Give a function that writes an epoch's values, by name; epochs count from 1.

    Args:
        folder: of the run; the files go into `tensorboard` in it.
        wanted: False writes nothing.

    Raises:
        RunError: tensorboard isn't installed.
    """
    if not wanted:
        yield lambda values, epoch: None
        return
    try:
        # An optional package, needed only where event files are asked for.
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise RunError(
            "TensorBoard event files need the package tensorboard, which isn't "
            "installed: pip install tensorboard, or leave the option out"
        ) from None
    make: Any = SummaryWriter  # its methods have no types
    with closing(make(str(folder / FOLDER))) as writer:

        def add(values: Mapping[str, float], epoch: int) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, epoch)
            writer.flush()

        yield add
