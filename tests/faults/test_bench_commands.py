"""What surrounds a command: streams, folders, environments, and files left behind."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
from click.testing import CliRunner, Result

from reff_bench.cli import main
from reff_bench.cli.report import page_is_due
from reff_bench.identity.tree import DataError
from reff_bench.results.folder import open_runs
from reff_bench.results.plan import read_plan
from tests.faults.made_up import write_page
from tests.python import ROOT
from tests.reff_bench import fakes
from tests.reff_bench.fakes import isic_tree, write_grid
from tests.texturedmnist.conftest import refused


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A grid file, with made-up work in place of the real, and no drawing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("reff_bench.cli.commands.run_training", fakes.train)
    fakes.run_here(monkeypatch)
    monkeypatch.setattr("reff_bench.cli.commands.write_page", write_page)
    for module in ("commands", "evaluate"):
        monkeypatch.setattr(f"reff_bench.cli.{module}.run_evaluation", fakes.evaluate)
    return write_grid(tmp_path)


@pytest.fixture
def out(grid: Path) -> Path:
    """A folder of three finished runs."""
    result = call("run", grid, "--device", "cpu", "--set", "seed=[0]", "--jobs", 1)
    assert result.exit_code == 0, result.output
    return Path("runs/small")


SCRIPT = """
import sys
from reff_bench.cli import main
for args in {commands}:
    try:
        main(args)
    except SystemExit as end:
        if end.code:
            sys.exit(end.code)
"""


def start(commands: list[list[str]], redirect: str, **env: str) -> tuple[int, str]:
    """Run commands in one process, under a shell's redirection."""
    line = f'"$0" -c "$1" {redirect}'
    script = SCRIPT.format(commands=commands)
    ended = subprocess.run(
        ["sh", "-c", line, sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_commands_work_without_standard_error_and_a_notebooks_backend(
    out: Path,
) -> None:
    names = ("status", "table", "claims", "report", "figures")
    commands = [[name, str(out)] for name in names]
    commands.append(["run", "grid.yaml", "--set", "seed=[0]"])
    commands.append(["collect", str(out), "--into", "all.jsonl"])
    backend = "module://matplotlib_inline.backend_nowhere"
    code, said = start(commands, "2>&-", MPLBACKEND=backend)
    assert code == 0, said
    assert "3 done" in said
    assert Path("all.jsonl").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_standard_output_is_one_line(out: Path) -> None:
    code, said = start([["status", str(out)]], ">/dev/full")
    assert code == 1
    assert "can't write to standard output: No space left on device" in said
    assert "Traceback" not in said


def test_a_home_is_found_where_no_shell_has(
    grid: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    result = call("run", grid, "--device", "cpu", "--out=~/runs", "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "home" / "runs" / "grid.json").is_file()
    assert not Path("~").exists()


@pytest.mark.parametrize("command", ["status", "table", "retry", "evaluate", "claims"])
def test_a_folder_that_may_not_be_read_is_one_line(
    command: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    result = call(command, out)
    refused(result, "can't open runs/small/grid.json: Permission denied")
    assert "again" not in result.stderr


def test_the_page_is_written_whenever_it_is_older_than_what_it_shows(
    grid: Path, out: Path
) -> None:
    again = ("run", grid, "--device", "cpu", "--set", "seed=[0]")
    assert "report:" not in call(*again).stdout
    for name in ("report.html", "claims.json"):
        (out / name).unlink()
        assert "report: runs/small/report.html" in call(*again).stdout
    shutil.rmtree(out / "figures")
    assert "report:" in call(*again).stdout
    runs = open_runs(out)
    assert not page_is_due(runs)
    later = (out / "report.html").stat().st_mtime + 1
    os.utime(out / "cells" / runs.records[0].id / "evaluation.json", (later, later))
    assert page_is_due(runs)


def test_the_page_follows_the_parts(grid: Path) -> None:
    for part in ("1/2", "2/2"):
        call("run", grid, "--device", "cpu", "--jobs", 1, "--part", part)
    result = call("run", grid, "--device", "cpu")
    assert "report: runs/small/report.html" in result.stdout


def test_foreign_files_beside_runs_are_not_runs(out: Path) -> None:
    (out / "cells" / ".DS_Store").write_text("")
    (out / "cells" / "notes").mkdir()
    assert "other grids" not in call("status", out).stdout


def test_a_damaged_record_is_reported_by_status(out: Path) -> None:
    path = next(out.glob("cells/*/record.json"))
    path.write_bytes(path.read_bytes()[:40])
    result = call("status", out)
    assert result.exit_code == 1
    assert "record.json is not a JSON object; remove the file and" in result.stdout
    assert call("retry", out, "--device", "cpu", "--jobs", 1).exit_code == 0


def test_data_that_were_moved_are_found_by_the_flag(
    out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    evaluated = Mock(return_value=None)
    monkeypatch.setattr("reff_bench.cli.evaluate.run_evaluation", evaluated)
    new = tmp_path / "new"
    new.mkdir()
    shutil.move("tree", new / "tree")
    for place in (new, new / "tree"):
        result = call("evaluate", out, "--data-root", place, "--device", "cpu")
        assert result.exit_code == 0, result.output
        roots = {config.root for (config, _), _ in evaluated.call_args_list}
        assert roots == {str(new / "tree")}
    one = next(out.glob("cells/*"))
    assert call("evaluate", one, "--data-root", new, "--device", "cpu").exit_code == 0
    assert call("retry", out, "--data-root", new, "--device", "cpu").exit_code == 0
    assert read_plan(out).configs[0].root == str(new / "tree")
    assert call("evaluate", out, "--device", "cpu").exit_code == 0
    # Where the runs were made last.
    assert evaluated.call_args.kwargs["data_root"] == new


@pytest.mark.parametrize("command", ["evaluate", "retry"])
def test_other_data_under_the_flag_are_refused(
    command: str, out: Path, tmp_path: Path
) -> None:
    result = call(command, out, "--data-root", tmp_path / "none", "--device", "cpu")
    refused(result, "the data of these runs, once in")
    isic_tree(tmp_path / "other" / "isic2017", 6)
    result = call(command, out, "--data-root", tmp_path / "other", "--device", "cpu")
    refused(result, "holds other data than the runs were planned with")


def test_a_broken_run_is_named(out: Path) -> None:
    folder = next(out.glob("cells/*"))
    (folder / "cell.json").write_text('{"method": 3}')
    result = call("evaluate", folder, "--device", "cpu")
    refused(result, "cell.json is no run's folder")


def test_what_data_and_methods_refuse_is_one_line(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse = Mock(side_effect=DataError("the data of this run have changed"))
    monkeypatch.setattr("reff_bench.cli.evaluate.run_evaluation", refuse)
    result = call("evaluate", out, "--device", "cpu")
    refused(result, "the data of this run have changed")


@pytest.mark.parametrize("content", [b"hello\n", b"", json.dumps({}).encode()])
def test_a_file_without_weights_is_one_line(
    content: bytes, grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hello.pt").write_bytes(content)
    result = call("evaluate", "hello.pt", "--grid", grid, "--device", "cpu")
    refused(result, "the weights file hello.pt can't be read")


def test_an_own_module_that_is_gone_is_named_by_evaluate(
    grid: Path, tmp_path: Path
) -> None:
    (tmp_path / "gone.py").write_text(
        "from reff_bench.methods import Method\n"
        "def mine():\n    return Method(print, print)\n"
    )
    method = ("--set", "method=[gone:mine]", "--set", "seed=[0]")
    made = call("run", grid, "--device", "cpu", "--jobs", 1, *method)
    assert made.exit_code == 0, made.output
    (tmp_path / "gone.py").unlink()
    sys.modules.pop("gone")
    result = call("evaluate", "runs/small", "--device", "cpu")
    refused(result, "the method gone:mine: there is no module gone; run the")
