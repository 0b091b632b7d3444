"""A diagram as a file of its own, outside a page that gives it colours."""

_LIGHT_GROUND, _LIGHT_TEXT = "#ffffff", "#1a2027"
_DARK_GROUND, _DARK_TEXT = "#161b21", "#e7ebef"
# Attributes hold where styles are unknown; the style follows the reader's theme where it is.
_STYLE = (
    "<style>@media (prefers-color-scheme: dark) {"
    f".architecture-diagram {{ color: {_DARK_TEXT} }} .ground {{ fill: {_DARK_GROUND} }}"
    "}</style>"
)
_GROUND = f'<rect class="ground" width="100%" height="100%" rx="8" fill="{_LIGHT_GROUND}"/>'


def standalone(picture: str) -> str:
    """Return a picture of `search_spaces.diagram.svg` with a ground and colours of its own.

    It is read on white and on dark pages, for it brings the ground that its colour needs.
    """
    coloured = picture.replace('color="currentColor"', f'color="{_LIGHT_TEXT}"', 1)
    return coloured.replace("</desc>", f"</desc>{_STYLE}{_GROUND}", 1) + "\n"
