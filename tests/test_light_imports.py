import json

import pytest

from tests.python import run_python

# What is loaded after each step of one process, the lightest first.
STEPS = """
import contextlib, io, json, pickle, random, sys
from importlib import import_module

found = {}

def note(step, *names):
    found[step] = [name for name in names if name in sys.modules]

import click
mains = [import_module(f"{name}.cli").main for name in ("texturedmnist", "reff_bench")]
pages = [main.get_help(click.Context(main)) for main in mains]
assert [main.commands for main in mains] == [{}, {}]
note("the list of commands", "pydantic", "h5py", "torch")
for main, page in zip(mains, pages, strict=True):
    main.get_command(click.Context(main), "none")
    summaries = {n: one.get_short_help_str(1000) for n, one in main.commands.items()}
    assert main.summaries == summaries
    assert summaries and all(f"\\n  {name} " in page for name in summaries)
for name, page in zip(("texturedmnist", "reff-bench"), pages, strict=True):
    assert page.count(f"\\n  {name} ") >= 2, "examples"
for main in mains:
    for args in ([], *([name] for name in main.list_commands(None))):
        with contextlib.redirect_stdout(io.StringIO()) as page:
            main([*args, "--help"], standalone_mode=False)
        assert "Usage:" in page.getvalue()
note("help", "torch", "torchvision", "sklearn", "scipy", "pandas", "matplotlib",
     "jinja2")

import numpy as np
before = pickle.dumps((random.getstate(), np.random.get_state()))
import texturedmnist, texturedmnist.recipe, texturedmnist.plan, texturedmnist.generate
note("the package", "torch", "torchvision")
assert pickle.dumps((random.getstate(), np.random.get_state())) == before

out = sys.argv[1]
small = "--train 4 --val 2 --test 2 --image-size 28 --embedded-instances 12 --jobs 1"
with contextlib.redirect_stdout(io.StringIO()):
    mains[0](["generate", "--bg", "0.2", "--tex", "0.5", "--embedded",
        *small.split(), "--out", out], standalone_mode=False)
    mains[0](["verify", out, "--deep"], standalone_mode=False)
note("generate and verify", "torch")
import reff_bench.runner.run, reff_bench.train.run, reff_bench.evaluate.checkpoint
note("a worker", "pandas", "jinja2", "matplotlib")
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Take the steps, which also check that the list says what the commands say."""
    folder = tmp_path_factory.mktemp("light")
    env = {"XDG_CACHE_HOME": str(folder / "cache")}
    ended = run_python("-c", STEPS, folder / "out", env=env)
    loaded: dict[str, list[str]] = json.loads(ended.stdout)
    return loaded


STEP_NAMES = ("the list of commands", "help", "the package", "generate and verify")


@pytest.mark.parametrize("step", [*STEP_NAMES, "a worker"])
def test_no_step_loads_what_only_later_ones_need(
    step: str, found: dict[str, list[str]]
) -> None:
    assert found[step] == []
