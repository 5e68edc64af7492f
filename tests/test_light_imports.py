import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def run_python(code: str, *args: str, **env: str) -> str:
    """Run code in a fresh interpreter and give back what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_nothing_heavy_and_draws_nothing() -> None:
    code = """
import pickle, random, sys
import numpy as np
before = pickle.dumps((random.getstate(), np.random.get_state()))
import texturedmnist, texturedmnist.recipe, texturedmnist.plan, texturedmnist.generate
assert pickle.dumps((random.getstate(), np.random.get_state())) == before
print(*(name for name in ("torch", "torchvision") if name in sys.modules))
"""
    assert run_python(code).split() == []


HELP = """
import contextlib, io, json, sys
from importlib import import_module
main = import_module(sys.argv[1]).main
for args in ([], *([name] for name in main.list_commands(None))):
    with contextlib.redirect_stdout(io.StringIO()) as page:
        main([*args, "--help"], standalone_mode=False)
    assert "Usage:" in page.getvalue()
heavy = ("torch", "torchvision", "sklearn", "scipy", "pandas", "matplotlib", "jinja2")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


@pytest.mark.parametrize("package", ["texturedmnist", "reff_bench"])
def test_help_loads_nothing_heavy(package: str) -> None:
    assert json.loads(run_python(HELP, f"{package}.cli")) == []


@pytest.mark.parametrize("package", ["texturedmnist", "reff_bench"])
def test_the_list_of_commands_is_there_before_they_are_and_says_the_same(
    package: str,
) -> None:
    code = """
import sys
from importlib import import_module
import click
main = import_module(sys.argv[1]).main
shown = main.get_help(click.Context(main))
assert main.commands == {} and not {"pydantic", "h5py", "torch"} & {*sys.modules}
main.get_command(click.Context(main), "none")
summaries = {n: one.get_short_help_str(1000) for n, one in main.commands.items()}
assert main.summaries == summaries
assert summaries and all(f"\\n  {name} " in shown for name in summaries)
examples = [line for line in shown.splitlines() if line.startswith(f"  {sys.argv[2]} ")]
assert len(examples) >= 2
"""
    run_python(code, f"{package}.cli", package.replace("_", "-"))


def test_a_worker_loads_nothing_that_only_tables_need() -> None:
    code = """
import sys
import reff_bench.runner.run, reff_bench.train.run, reff_bench.evaluate.checkpoint
print(*(name for name in ("pandas", "jinja2", "matplotlib") if name in sys.modules))
"""
    assert run_python(code).split() == []


def test_generating_and_verifying_never_load_torch(tmp_path: Path) -> None:
    code = """
import sys
from texturedmnist.cli import main
out = sys.argv[1]
small = "--train 4 --val 2 --test 2 --image-size 28 --embedded-instances 12 --jobs 1"
main(["generate", "--bg", "0.2", "--tex", "0.5", "--embedded", *small.split(),
      "--out", out], standalone_mode=False)
main(["verify", out, "--deep"], standalone_mode=False)
assert "torch" not in sys.modules
"""
    run_python(code, str(tmp_path / "out"), XDG_CACHE_HOME=str(tmp_path / "cache"))


def test_the_public_names_come_from_their_modules() -> None:
    code = """
import texturedmnist
assert set(texturedmnist.__all__) <= set(dir(texturedmnist))
print(*(getattr(texturedmnist, name).__module__.split(".")[1]
        for name in ("Recipe", "load_recipe", "TexturedMNIST")))
"""
    assert run_python(code).split() == ["recipe", "recipe", "dataset"]
