"""Text in LaTeX."""

from texturedmnist.common.text import printable

_SPECIAL = {
    **{sign: f"\\{sign}" for sign in "%&#_{}$"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "±": "$\\pm$",
}


def escape(text: str) -> str:
    """Return text with LaTeX's special and control characters made harmless."""
    return "".join(_SPECIAL.get(sign, sign) for sign in printable(text))
