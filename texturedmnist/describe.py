"""A dataset, a plan and the class-texture assignment in words, pure."""

from collections.abc import Sequence
from pathlib import Path

from texturedmnist.common.latex import escape
from texturedmnist.common.progress import show_bytes
from texturedmnist.common.text import printable
from texturedmnist.generate import Build, Estimate
from texturedmnist.manifest import Manifest, Repeats
from texturedmnist.recipe import Assignment, find_preset

ROLES = ("digits", "digit_textures", "background_textures")


def describe_dataset(folder: Path, manifest: Manifest) -> str:
    """Return what a dataset is: sizes, randomness, sources, digests."""
    recipe = manifest.recipe
    size = sum(shard.bytes for shard in manifest.shards)
    lines = [
        f"Textured MNIST in {folder}: {recipe['image_size']} px, digits of "
        f"{recipe['digit_size']} px; {len(manifest.shards)} shards, "
        f"{show_bytes(size)}",
        f"{'split':<12}{'samples':>8}{'bg':>6}{'tex':>6}{'aligned':>9}  digest",
    ]
    for split, entry in manifest.splits.items():
        bg, tex = manifest.randomness(split)
        lines.append(
            f"{split:<12}{entry.count:>8}{bg:>6g}{tex:>6g}{entry.aligned:>9.3f}  "
            f"{entry.digest}"
        )
    sources = (f"{role} {recipe[role]}" for role in ROLES)
    lines += [", ".join(sources), f"identity {manifest.identity}"]
    preset = find_preset(
        {split: entry.digest for split, entry in manifest.splits.items()}
    )
    lines += [] if preset is None else [f"preset {preset}, to the byte"]
    return "\n".join(lines)


def describe_plan(build: Build, plan: Estimate, jobs: int) -> str:
    """Return what `generate` would make."""
    recipe, sources = build.recipe, build.sources
    counts = ", ".join(f"{name} {count}" for name, count in recipe.counts().items())
    return "\n".join(
        (
            f"would make {counts} at {recipe.image_size} px in {build.out}",
            f"shards: {len(build.specs)}, {show_bytes(plan.total_bytes)}, of which "
            f"{show_bytes(plan.missing_bytes)} are missing",
            f"free on that disk: {show_bytes(plan.free_bytes)}",
            f"sources: {len(sources.digits.labels)} digits, "
            f"{len(sources.digit_textures)} digit textures, "
            f"{len(sources.background_textures)} backgrounds",
            f"time: about {plan.seconds / jobs:.0f} s of rendering with --jobs {jobs}, "
            "and the disk's",
            f"identity: {build.identity}",
        )
    )


def describe_repeats(repeats: Repeats) -> str:
    """Name pictures that stand in more than one of train, val and test."""
    shown = "; ".join(
        ", ".join(f"{names[0]} ({split})" for split, names in picture.items())
        for picture in repeats[:3]
    )
    what = "pictures of the sources stand" if len(repeats) > 1 else "picture stands"
    more = f"; and {len(repeats) - 3} more" if len(repeats) > 3 else ""
    return (
        f"{len(repeats)} {what} in more than one of train, val and test under several "
        f"names: {printable(shown)}{more}; to keep the splits apart, remove the copies"
    )


def describe_assignment(manifest: Manifest) -> str:
    """Return which textures are assigned to which digit as a table.

    The paper's Tab. 1 is lost.
    """
    lines = [f"{'digit':<7}{'digit texture':<16}background textures"]
    for digit, texture, backgrounds in _assignment_rows(manifest):
        named = printable(", ".join(backgrounds))
        lines.append(f"{digit:<7}{printable(texture):<16}{named}")
    return "\n".join(lines)


def latex_assignment(assignment: Manifest | Assignment) -> str:
    """Return an assignment, or that of a dataset, as a LaTeX table (booktabs)."""
    rows = [
        f"{digit} & {escape(texture)} & {escape(', '.join(backgrounds))} \\\\"
        for digit, texture, backgrounds in _assignment_rows(assignment)
    ]
    head = (
        "\\begin{tabular}{lll}",
        "\\toprule",
        "Digit & Digit texture & Background textures \\\\",
        "\\midrule",
    )
    return "\n".join([*head, *rows, "\\bottomrule", "\\end{tabular}"])


def _assignment_rows(
    source: Manifest | Assignment,
) -> list[tuple[int, str, Sequence[str]]]:
    assignment = (
        source
        if isinstance(source, Assignment)
        else Assignment(**source.recipe["ties"])
    )
    pairs = zip(assignment.digit_textures, assignment.background_textures, strict=True)
    return [(digit, *pair) for digit, pair in enumerate(pairs)]
