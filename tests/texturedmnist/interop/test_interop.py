import os
import sys
from pathlib import Path

import pytest

from tests.python import ROOT, run_python
from tests.texturedmnist.interop.conftest import Maker
from texturedmnist import interop
from texturedmnist.interop import EmptyGroupsWarning, MissingPackageError
from texturedmnist.interop.errors import warn_of_empty_groups

ADAPTERS = {
    "wilds_dataset": "wilds",
    "WILDSTexturedMNIST": "wilds",
    "huggingface_dataset": "datasets",
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_absent_package_is_reported_with_the_line_to_run(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = ADAPTERS[name]
    for module in [*sys.modules]:
        if module.split(".")[0] == package:
            monkeypatch.delitem(sys.modules, module)
    file = "wilds" if package == "wilds" else "huggingface"
    monkeypatch.delitem(sys.modules, f"texturedmnist.interop.{file}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    text = (
        rf"^this adapter needs {package}, but the module '{package}[.\w]*' can't be "
        rf"used or isn't installed: pip install {package}$"
    )
    with pytest.raises(MissingPackageError, match=text):
        getattr(interop, name)


IN_TURN = """
import sys
from texturedmnist import interop
for name in sys.argv[1:]:
    try:
        getattr(interop, name)
    except interop.MissingPackageError as error:
        print(name, error)
"""


def test_an_own_file_in_the_place_of_a_package_is_named(tmp_path: Path) -> None:
    for package in ADAPTERS.values():
        (tmp_path / f"{package}.py").write_text("")
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    lines = run_python("-c", IN_TURN, *ADAPTERS, env=env).stdout.splitlines()
    for (name, package), line in zip(ADAPTERS.items(), lines, strict=True):
        assert line.startswith(f"{name} ")
        assert f"Python takes {package} from {tmp_path / package}.py" in line


WITHOUT = """
import sys
for name in ("wilds", "spuco", "datasets", "mlcroissant", "pyarrow", "domainbed"):
    sys.modules[name] = None
import texturedmnist, texturedmnist.interop
assert "torch" not in sys.modules
from texturedmnist.interop import DomainBedTexturedMNIST, spuco_dataset
image, label = spuco_dataset(sys.argv[1], "train", transform=None)[0]
assert tuple(image.shape) == (3, 28, 28)
"""


def test_the_adapters_that_need_no_package_work_without_any(folder: Path) -> None:
    run_python("-c", WITHOUT, folder, env={"PYTHONWARNINGS": "error"})


def test_the_public_names_are_listed_and_others_refused() -> None:
    assert set(interop.__all__) <= set(dir(interop))
    with pytest.raises(AttributeError, match="has no attribute 'wilds_datasets'"):
        interop.wilds_datasets  # noqa: B018 (the look-up itself is what fails)


def test_empty_groups_are_reported_in_words() -> None:
    full = {(label, value) for label in range(10) for value in range(2)}
    text = (
        r"^train has no samples in 2 of its 20 groups \(label, digit_aligned\): "
        r"\(3, 0\), \(7, 1\)\. A randomness of 0 leaves none whose texture conflicts "
        "with the label, and a small split can lack some by chance. A method that "
        r"balances or weighs groups sees only those that are there: raise bg \(or "
        r"tex\), make more samples, or choose another attribute$"
    )
    with pytest.warns(EmptyGroupsWarning, match=text):
        warn_of_empty_groups("train", "digit_aligned", full - {(3, 0), (7, 1)}, 2)
    with pytest.warns(EmptyGroupsWarning, match=r": \(0, 0\), .*, \(2, 0\), \.\.\.\."):
        warn_of_empty_groups("train", "digit_aligned", set(), 2)
    warn_of_empty_groups("train", "digit_aligned", full, 2)


def test_a_warning_points_at_the_line_that_opened_the_data_set(make: Maker) -> None:
    assigned = make(bg=0.0, train=20, val=0, test=0)
    with pytest.warns(EmptyGroupsWarning) as caught:
        interop.spuco_dataset(assigned)
    assert caught[0].filename == __file__
