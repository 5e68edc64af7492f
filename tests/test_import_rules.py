import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("texturedmnist", "reff_bench")
TORCH = {"torch", "torchvision"}
# What users may have and this package doesn't need.
FOREIGN = {"datasets", "domainbed", "mlcroissant", "pyarrow", "spuco", "wilds", "ray"}
# The modules that may: other people's interfaces, and where work runs.
HOSTS = {"ray": "texturedmnist.common"}
TYPING_GUARDS = ("TYPE_CHECKING", "typing.TYPE_CHECKING")

# What each module may import: modules of its own package by their bare names, those of
# texturedmnist as `tm.NAME`; `__version__` is free.
TABLE = """
texturedmnist.__init__: anything
texturedmnist.common:
texturedmnist.draws:
texturedmnist.recipe: common
texturedmnist.sources: common draws recipe
texturedmnist.plan: draws recipe sources
texturedmnist.compose: plan sources
texturedmnist.render_torch: compose plan sources
texturedmnist.manifest: common recipe
texturedmnist.card: manifest recipe
texturedmnist.shards: common manifest
texturedmnist.generate: card common compose manifest plan preview recipe shards sources
texturedmnist.audit: common manifest shards
texturedmnist.preview: common manifest shards
texturedmnist.describe: common generate manifest recipe
texturedmnist.dataset: common compose manifest plan recipe render_torch shards sources
texturedmnist.interop: card common dataset generate manifest recipe shards sources
texturedmnist.cli: anything
reff_bench.__init__:
reff_bench.catalog: tm.common
reff_bench.grid: catalog tm.common tm.recipe
reff_bench.data: catalog grid identity torch_files tm.common tm.dataset tm.manifest
    tm.recipe tm.render_torch tm.sources
reff_bench.models: catalog torch_files
reff_bench.second_order:
reff_bench.explain:
reff_bench.losses: explain
reff_bench.methods: catalog data explain grid losses models second_order tm.common
reff_bench.torch_files: tm.common
reff_bench.annotator: torch_files
reff_bench.metrics:
reff_bench.train: annotator catalog data grid methods results torch_files tm.common
reff_bench.evaluate: annotator catalog data explain grid identity methods metrics models
    results train tm.common
reff_bench.results: catalog grid tm.common
reff_bench.identity: catalog grid tm.common tm.manifest tm.recipe tm.sources
reff_bench.cost: catalog grid identity results tm.common
reff_bench.measure: annotator cost data evaluate grid methods results train
reff_bench.runner: catalog evaluate grid identity methods models results train tm.common
reff_bench.report: catalog grid results tm.common
reff_bench.cli: anything
"""


ALLOWED = {
    name: {*words.replace("tm.", "texturedmnist.").split()}
    for line in TABLE.replace("\n    ", " ").strip().splitlines()
    for name, words in [line.split(":")]
}

# Modules that load torch when they are imported.
TORCH_MODULES = {
    *(f"texturedmnist.{name}" for name in ("render_torch", "dataset", "interop")),
    *(f"reff_bench.{name}" for name in ("data", "models", "explain", "losses")),
    *(f"reff_bench.{name}" for name in ("methods", "annotator", "metrics", "train")),
    *(f"reff_bench.{name}" for name in ("second_order", "torch_files")),
    *(f"reff_bench.{name}" for name in ("evaluate", "measure")),
}
# Modules whose functions may load one of these when they are called.
TORCH_WHEN_CALLED = {
    "texturedmnist.sources": "torchvision",  # the download function
    "reff_bench.runner": "torch",  # counting GPUs, once work is left
}


@dataclass(frozen=True, slots=True)
class Import:
    """One import: who, what, and whether it waits for a function's call."""

    module: str
    target: str
    deferred: bool


def imported_names(node: ast.AST, *, deferred: bool) -> Iterator[tuple[str, bool]]:
    """The dotted names that the code under a node imports, and whether when called.

    Imports for typing alone are left out; those of a from-import are `module.name`.
    """
    if isinstance(node, ast.Import):
        yield from ((alias.name, deferred) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        yield from ((f"{module}.{alias.name}", deferred) for alias in node.names)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    inside = deferred or isinstance(node, functions)
    children: list[ast.AST] = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.If) and ast.unparse(node.test) in TYPING_GUARDS:
        children = list(node.orelse)
    for child in children:
        yield from imported_names(child, deferred=inside)


def modules_of(root: Path) -> dict[str, list[Path]]:
    """Every module of both packages (a module, or a folder of them) and its files."""
    modules: dict[str, list[Path]] = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            first = path.relative_to(root / package).parts[0].removesuffix(".py")
            modules.setdefault(f"{package}.{first}", []).append(path)
    return modules


def module_named(dotted: str, modules: Mapping[str, list[Path]]) -> str:
    """The module that a dotted name lies in; outside both packages, the top package."""
    package, _, rest = dotted.partition(".")
    if package not in PACKAGES:
        return package
    module = f"{package}.{rest.partition('.')[0]}"
    return module if module in modules else package


def imports_of(root: Path) -> list[Import]:
    modules = modules_of(root)
    return [
        Import(module, module_named(dotted, modules), deferred)
        for module, paths in modules.items()
        for path in paths
        for dotted, deferred in imported_names(
            ast.parse(path.read_text(encoding="utf-8")), deferred=False
        )
        if not dotted.endswith(".__version__")
        and module_named(dotted, modules) != module
    ]


def unknown_modules(root: Path) -> list[str]:
    return [
        f"{module} has no row" for module in modules_of(root) if module not in ALLOWED
    ]


def is_allowed(one: Import) -> bool:
    if one.target.endswith(".cli"):
        return False
    package, _ = one.module.split(".")
    if package == "texturedmnist" and one.target.startswith("reff_bench"):
        return False
    row = ALLOWED.get(one.module, set())
    return row == {"anything"} or one.target.removeprefix(f"{package}.") in row


def forbidden(imports: list[Import]) -> list[str]:
    """Imports of our own that no row allows; a relative one has an empty target."""
    return [
        f"{one.module} imports {one.target}"
        for one in imports
        if one.target.split(".")[0] in {*PACKAGES, ""} and not is_allowed(one)
    ]


def is_light(one: Import) -> bool:
    if one.module in TORCH_MODULES:
        return True
    if not one.deferred:
        return one.target not in TORCH | TORCH_MODULES
    return one.target not in TORCH - {TORCH_WHEN_CALLED.get(one.module)}


def loads_torch(imports: list[Import]) -> list[str]:
    """Imports that load torch where it must not be."""
    return [f"{one.module} loads {one.target}" for one in imports if not is_light(one)]


def needs_foreign(imports: list[Import]) -> list[str]:
    """Imports of packages that only one module may stand on."""
    return [
        f"{one.module} needs {one.target}"
        for one in imports
        if one.target in FOREIGN
        and one.module != HOSTS.get(one.target, "texturedmnist.interop")
    ]


def cycles(imports: list[Import]) -> list[str]:
    """Modules that import themselves through others."""
    reach = {
        one.module: {o.target for o in imports if o.module == one.module}
        for one in imports
    }
    for _ in reach:
        for targets in reach.values():
            targets |= {far for near in targets for far in reach.get(near, ())}
    return [f"{module} imports itself" for module in reach if module in reach[module]]


CHECKS = (forbidden, loads_torch, needs_foreign, cycles)


@pytest.mark.parametrize("check", CHECKS)
def test_the_code_keeps_the_rules(check: Callable[[list[Import]], list[str]]) -> None:
    assert check(imports_of(ROOT)) == []


def test_every_module_has_a_row() -> None:
    assert unknown_modules(ROOT) == []


def test_the_rules_see_the_imports_of_the_code() -> None:
    seen = imports_of(ROOT)
    assert Import("texturedmnist.plan", "texturedmnist.recipe", False) in seen
    assert Import("texturedmnist.plan", "numpy", False) in seen


def made_up_tree(root: Path, files: str) -> list[Import]:
    """The imports of a made-up tree: `package.module: code`, one file a line."""
    for line in files.strip().splitlines():
        name, code = line.strip().split(": ", maxsplit=1)
        path = root / (name.replace(".", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    return imports_of(root)


CAUGHT = {  # complaint -> a tree that must raise it
    "texturedmnist.plan imports itself": """
        texturedmnist.compose: import texturedmnist.plan
        texturedmnist.plan: from texturedmnist.compose import f""",
    "texturedmnist.shards imports itself": """
        texturedmnist.plan: import texturedmnist.generate
        texturedmnist.generate: from texturedmnist import shards
        texturedmnist.shards.a: from texturedmnist.plan import f""",
    "texturedmnist.recipe imports texturedmnist.plan": """texturedmnist.plan: pass
        texturedmnist.recipe: def f(): import texturedmnist.plan""",
    "texturedmnist.draws imports ": "texturedmnist.draws: from .recipe import Recipe",
    "texturedmnist.recipe imports texturedmnist": "texturedmnist.recipe: "
    "from texturedmnist import TexturedMNIST",
    "texturedmnist.cli imports reff_bench": "texturedmnist.cli: import reff_bench",
    "reff_bench.cli imports texturedmnist.cli": """texturedmnist.cli: pass
        reff_bench.cli: from texturedmnist.cli import main""",
    "texturedmnist.generate loads torch": "texturedmnist.generate: "
    "import torch.utils.data",
    "texturedmnist.audit loads torch": "texturedmnist.audit: def f(): import torch",
    "texturedmnist.shards loads torch": "texturedmnist.shards.a: "
    "if not TYPE_CHECKING: from torch import nn",
    "texturedmnist.dataset needs wilds": "texturedmnist.dataset: def f(): import wilds",
    "reff_bench.runner needs ray": "reff_bench.runner: def f(): import ray",
    "texturedmnist.interop needs ray": "texturedmnist.interop: import ray",
    "reff_bench.data needs datasets": "reff_bench.data: from datasets import Dataset",
    "texturedmnist.cli loads texturedmnist.dataset": """
        texturedmnist.dataset: import torch
        texturedmnist.cli: from texturedmnist.dataset import f""",
}

LET_PASS = {
    "for typing only": """texturedmnist.plan: import texturedmnist.recipe
        texturedmnist.recipe: if TYPE_CHECKING: import texturedmnist.plan""",
    "the version": "texturedmnist.manifest: from texturedmnist import __version__",
    "the download function": "texturedmnist.sources.a: def f(): import torchvision",
    "a command that needs torch": """texturedmnist.dataset: import torch
        texturedmnist.cli: def f(): import texturedmnist.dataset""",
    "an adapter": "texturedmnist.interop.wilds: from wilds.common import grouper",
    "Ray where work runs": "texturedmnist.common.executors.a: import ray",
    "inside one": """texturedmnist.sources.__init__: import texturedmnist.sources.a
        texturedmnist.sources.a: pass""",
    "an allowed module": """texturedmnist.recipe: pass
        reff_bench.grid: from texturedmnist.recipe import Recipe""",
}


def complaints(imports: list[Import]) -> list[str]:
    return [line for check in CHECKS for line in check(imports)]


@pytest.mark.parametrize("complaint", CAUGHT)
def test_the_rules_catch(complaint: str, tmp_path: Path) -> None:
    assert complaint in complaints(made_up_tree(tmp_path, CAUGHT[complaint]))


@pytest.mark.parametrize("case", LET_PASS)
def test_the_rules_let_pass(case: str, tmp_path: Path) -> None:
    assert complaints(made_up_tree(tmp_path, LET_PASS[case])) == []


def test_a_module_without_a_row_is_reported(tmp_path: Path) -> None:
    made_up_tree(tmp_path, "texturedmnist.attic: pass")
    assert unknown_modules(tmp_path) == ["texturedmnist.attic has no row"]
