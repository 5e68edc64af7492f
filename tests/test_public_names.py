"""What users may rely on: `__all__` of both packages, each name with an example."""

import doctest
import inspect
from pathlib import Path
from types import ModuleType

import pytest

import reff_bench
import texturedmnist

ROOT = Path(__file__).parents[1]
NAMES = [
    pytest.param(package, name, id=f"{package.__name__}.{name}")
    for package in (texturedmnist, reff_bench)
    for name in package.__all__
    if name != "__version__"
]
FLAGS = doctest.NORMALIZE_WHITESPACE


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_the_example_of_a_public_name_runs_as_it_stands(
    package: ModuleType, name: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    text = inspect.getdoc(getattr(package, name))
    assert text is not None
    test = doctest.DocTestParser().get_doctest(
        text, {}, name, name, 0
    )  # nothing is imported
    assert f"from {package.__name__} import " in text, "as a user would import it"
    assert any(one.want for one in test.examples), "it shows what comes out"
    found = doctest.DocTestRunner(optionflags=FLAGS).run(test)
    assert found.failed == 0


@pytest.mark.parametrize("package", [texturedmnist, reff_bench])
def test_the_public_names_are_there_once_and_no_other_is(package: ModuleType) -> None:
    names = package.__all__
    assert len(names) == len({*names})
    assert {*names} <= {*dir(package)}
    with pytest.raises(AttributeError, match="has no attribute 'Absent'"):
        _ = package.Absent
