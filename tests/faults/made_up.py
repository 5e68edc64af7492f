"""A grid whose runs take no time: made-up training, in true processes."""

from pathlib import Path

from reff_bench.cli import commands
from reff_bench.results.folder import RunFolder
from tests.faults.commands import Command, contents
from tests.reff_bench import fakes


def made_up_command(folder: Path, *options: str) -> Command:
    """Return the command that runs the grid of three runs, two at once, in a folder."""
    folder.mkdir(exist_ok=True)
    grid = fakes.write_grid(folder)
    args = ("run", str(grid), "--set", "seed=[0]", "--out", "{out}")
    how = ("--device", "cpu", "--jobs", "2", *options)
    return Command("reff_bench", (*args, *how), ("tests.faults.made_up",))


def make_up() -> None:
    """Let the commands of this process do made-up work."""
    made_up = {"run_training": fakes.train, "run_evaluation": fakes.evaluate}
    vars(commands).update(made_up, write_page=write_page)


def write_page(runs: RunFolder) -> Path:
    """Leave empty files in the places of claims, figures and page."""
    out = runs.out
    (out / "figures").mkdir(exist_ok=True)
    for name in ("claims.json", "report.html"):
        (out / name).write_text("")
    return out / "report.html"


def outcome(out: Path) -> dict[str, bytes]:
    """All that the grid leaves, but for the notes on how often each run was tried."""
    found = contents(out)
    return {name: found[name] for name in found if not name.endswith("tries")}
