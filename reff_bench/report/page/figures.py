"""The figures of a page, within it."""

from base64 import b64encode

from reff_bench.report.page.content import Content, Picture
from reff_bench.report.page.html import Html, join, short_or_folded, tag


def show_figures(content: Content) -> Html:
    """Return every figure with its caption, and which aren't there."""
    parts: list[str] = [_figure(picture) for picture in content.pictures]
    if not parts:
        parts.append(tag("p", "No figure was drawn."))
    if content.lacking:
        parts.append(short_or_folded("Missing or partial figures", content.lacking))
    return join(parts)


def _figure(picture: Picture) -> Html:
    name = picture.place.rpartition("/")[2]
    if picture.png is None:
        shown = tag("p", "Too large for this page: ", _link(picture, name))
    else:
        source = "data:image/png;base64," + b64encode(picture.png).decode()
        brief = picture.caption.partition(". ")[0]
        shown = tag("img", src=source, alt=brief)
    note = "Shown in fewer colours than the file: " if picture.reduced else ""
    caption = tag("figcaption", f"{picture.caption} {note}", _link(picture, name))
    return tag("figure", shown, caption)


def _link(picture: Picture, name: str) -> Html:
    return tag("a", name, href=picture.place)
