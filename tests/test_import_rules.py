import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("texturedmnist", "reff_bench")
TORCH = {"torch", "torchvision"}
ANYTHING = {"anything"}
# What users may have and this package doesn't need.
FOREIGN = {"datasets", "domainbed", "mlcroissant", "pyarrow", "spuco", "wilds", "ray"}
# The modules that may: other people's interfaces, and where work runs.
HOSTS = {"ray": "texturedmnist.common"}

# Package -> module -> what it may import: modules of its own package by their bare
# names; "texturedmnist" stands for that package's public names. `__version__` is free.
ALLOWED: Mapping[str, Mapping[str, set[str]]] = {
    "texturedmnist": {
        "__init__": ANYTHING,
        "common": set(),
        "draws": set(),
        "recipe": {"common"},
        "sources": {"common", "recipe", "draws"},
        "plan": {"recipe", "draws", "sources"},
        "compose": {"plan", "sources"},
        "render_torch": {"compose", "plan", "sources"},
        "manifest": {"common", "recipe"},  # whose model checks the recipe that it holds
        "card": {"manifest", "recipe"},
        "shards": {"common", "manifest"},
        "generate": {"recipe", "sources", "plan", "compose", "manifest", "shards"}
        | {"common", "preview", "card"},
        "audit": {"common", "manifest", "shards"},
        "preview": {"common", "manifest", "shards"},
        "describe": {"common", "generate", "manifest", "recipe"},
        "dataset": {"recipe", "sources", "plan", "compose", "render_torch"}
        | {"common", "manifest", "shards"},
        "interop": {"card", "common", "dataset", "generate", "manifest"}
        | {"recipe", "shards", "sources"},
        "cli": ANYTHING,
    },
    "reff_bench": {
        "__init__": set(),
        "catalog": {"texturedmnist.common"},
        "grid": {"catalog", "texturedmnist.common", "texturedmnist.recipe"},
        "data": {"catalog", "grid", "identity", "torch_files"}
        | {f"texturedmnist.{module}" for module in ("common", "dataset", "manifest")}
        | {
            f"texturedmnist.{module}"
            for module in ("recipe", "render_torch", "sources")
        },
        "models": {"catalog", "pretrained", "torch_files"},
        "pretrained": set(),
        "second_order": set(),
        "explain": set(),
        "losses": {"explain"},
        "methods": {
            "texturedmnist.common",
            "catalog",
            "data",
            "grid",
            "models",
            "explain",
            "losses",
            "second_order",
        },
        "torch_files": {"texturedmnist.common"},
        "annotator": {"torch_files"},
        "metrics": set(),
        "train": {"catalog", "grid", "data", "methods", "annotator", "results"}
        | {"torch_files", "texturedmnist.common"},
        "evaluate": {
            "catalog",
            "grid",
            "data",
            "models",
            "explain",
            "methods",
            "annotator",
        }
        | {"identity", "metrics", "results", "train", "texturedmnist.common"},
        "results": {"catalog", "grid", "texturedmnist.common"},
        "identity": {"catalog", "grid", "pretrained"}
        | {f"texturedmnist.{module}" for module in ("common", "manifest", "recipe")}
        | {"texturedmnist.sources"},
        "cost": {"catalog", "grid", "identity", "results", "texturedmnist.common"},
        "measure": {"annotator", "cost", "data", "evaluate", "grid", "methods"}
        | {"results", "train"},
        "runner": {
            "catalog",
            "grid",
            "identity",
            "methods",
            "models",
            "train",
            "evaluate",
        }
        | {"results", "texturedmnist.common"},
        "report": {"catalog", "grid", "results", "texturedmnist.common"},
        "cli": ANYTHING,
    },
}

# Modules that load torch when they are imported.
TORCH_MODULES = {
    "texturedmnist.render_torch",
    "texturedmnist.dataset",
    "texturedmnist.interop",
    *(f"reff_bench.{module}" for module in ("data", "models", "explain", "losses")),
    "reff_bench.second_order",
    *(f"reff_bench.{module}" for module in ("methods", "annotator", "metrics")),
    *(f"reff_bench.{module}" for module in ("train", "evaluate", "measure")),
    "reff_bench.torch_files",
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


def is_typing_guard(node: ast.If) -> bool:
    return ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def imported_names(node: ast.AST, *, deferred: bool) -> Iterator[tuple[str, bool]]:
    """The dotted names that the code under a node imports, typing-only ones left out.

    Args:
        node: A module or any part of one.
        deferred: Whether the node runs only when a function is called.

    Yields:
        The dotted name (`module.name` for a from-import), whether it is deferred.
    """
    if isinstance(node, ast.Import):
        yield from ((alias.name, deferred) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        yield from ((f"{module}.{alias.name}", deferred) for alias in node.names)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    inside = deferred or isinstance(node, functions)
    children: list[ast.AST] = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.If) and is_typing_guard(node):
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
    split = {module: module.split(".") for module in modules_of(root)}
    return [
        f"{module} has no row"
        for module, (package, name) in split.items()
        if name not in ALLOWED[package]
    ]


def is_allowed(one: Import) -> bool:
    package, name = one.module.split(".")
    if one.target.endswith(".cli"):
        return False
    if package == "texturedmnist" and one.target.startswith("reff_bench"):
        return False
    row = ALLOWED[package].get(name, set())
    return row == ANYTHING or one.target.removeprefix(f"{package}.") in row


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
    if one.deferred:
        return one.target not in TORCH or one.target == TORCH_WHEN_CALLED.get(
            one.module
        )
    return one.target not in TORCH | TORCH_MODULES


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
def test_the_code_keeps_the_import_rules(
    check: Callable[[list[Import]], list[str]],
) -> None:
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
