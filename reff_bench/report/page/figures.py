"""The figures of a page, within it."""

from base64 import b64encode

from reff_bench.report.page.content import Content, Picture
from reff_bench.report.page.html import Html, join, short_or_folded, tag

FIRST = ("gap", "one_image")  # figures that stand among the results


def show_figures(content: Content) -> Html:
    """Return every figure that isn't among the results, and which aren't there."""
    others = [picture for picture in content.pictures if picture.name not in FIRST]
    parts: list[str] = [show_figure(picture) for picture in others]
    if not parts:
        parts.append(tag("p", "No figure was drawn."))
    if content.lacking:
        parts.append(short_or_folded("Missing or partial figures", content.lacking))
    return join(parts)


def show_figure(picture: Picture) -> Html:
    """Return a figure with its caption below it."""
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
