"""Links of the docs to other files of the repository lead to pages of the site.

On GitHub a page may link to `../examples/own_method.py`; here each such file becomes a
page below `repository/`, and so does what these files link to.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#:]+)(?P<part>#[^)\s]*)?\)")
PICTURES = (".jpg", ".png", ".svg")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".json": "json"}
WANTED = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "examples/README.md",
    "examples/tour.ipynb",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file of the repository that a page leads to."""
    queue = [ROOT / name for name in WANTED]
    queue += [path for file in files.documentation_pages() for path in _linked(file)]
    known = {file.src_uri for file in files}
    while queue:
        path = queue.pop()
        file = _make_file(path, config)
        if file.src_uri not in known:
            known.add(file.src_uri)
            files.append(file)
            queue += _linked(file)
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Turn links to files of the repository into links to their pages."""
    del config, files
    source = page.file.src_uri
    place = _in_repository(source).parent

    def replace(found: re.Match[str]) -> str:
        path = (place / found["target"]).resolve()
        if path.is_file() and path.is_relative_to(ROOT):
            uri = os.path.relpath(_uri(path), str(Path(source).parent))
            return f"[{found['text']}]({uri}{found['part'] or ''})"
        # A page of the docs is to be right; what the others lead to may be yet to come.
        return found["text"] if source.startswith("repository/") else found[0]

    return LINK.sub(replace, markdown)


def _linked(file: File) -> Iterator[Path]:
    """Yield the files outside of the docs that a page links to."""
    path = _in_repository(file.src_uri)
    if path.suffix != ".md" or not path.is_file():
        return
    for found in LINK.finditer(path.read_text(encoding="utf-8")):
        target = (path.parent / found["target"]).resolve()
        if target.is_file() and not target.is_relative_to(DOCS):
            yield target


def _make_file(path: Path, config: MkDocsConfig) -> File:
    uri, hidden = _uri(path), InclusionLevel.NOT_IN_NAV
    if path.suffix in PICTURES or path.suffix == ".md":
        return File.generated(config, uri, abs_src_path=str(path), inclusion=hidden)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        content = "\n\n".join(_configs(text))
    else:
        name = path.relative_to(ROOT).as_posix()
        content = f"# `{name}`\n\n{_fenced(text, LANGUAGES.get(path.suffix, 'text'))}"
    return File.generated(config, uri, content=content, inclusion=hidden)


def _configs(notebook: str) -> Iterator[str]:
    for config in json.loads(notebook)["cells"]:
        text = "".join(config["source"])
        yield text if config["cell_type"] == "markdown" else _fenced(text, "python")


def _fenced(text: str, language: str) -> str:
    return f"````{language}\n{text.rstrip()}\n````\n"


def _uri(path: Path) -> str:
    """Return where a file of the repository lies in the site."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    name = f"repository/{path.relative_to(ROOT).as_posix()}"
    return name if path.suffix in (".md", *PICTURES) else f"{name}.md"


def _in_repository(uri: str) -> Path:
    """Return which file of the repository a file of the site is."""
    if not uri.startswith("repository/"):
        return DOCS / uri
    path = ROOT / uri.removeprefix("repository/")
    return path if path.is_file() else path.with_suffix("")
