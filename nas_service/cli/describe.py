"""`nas describe`: what an architecture costs and how it looks, without any server."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nas_service.cli import options
from nas_service.cli.described import STANDARD_INPUT, read_description
from nas_service.cli.output import Format, as_plain, print_table, say, show
from nas_service.descriptions import ArchitectureView, describe
from nas_service.errors import ServiceError
from search_spaces.svg_file import standalone

COLUMNS = ("name", "kind", "output_shape", "params", "macs", "elementwise", "receptive_field")


def describe_file(
    architecture: Annotated[
        Path, typer.Argument(help="YAML or JSON file of the architecture; - is standard input.")
    ],
    svg: Annotated[
        Path | None,
        typer.Option("--svg", metavar="FILE", help="Write the picture too; - prints it and nothing else."),
    ] = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """Show an architecture layer by layer, with its totals; nothing is trained and no server is asked."""
    view = describe(read_description(architecture))
    if svg == STANDARD_INPUT:
        print(standalone(view.svg), end="")  # noqa: T201
        return
    if svg:
        _write(svg, standalone(view.svg))
    form = options.chosen_format(output, as_json)
    if form in (Format.json, Format.yaml):
        show(view, form=form)
    elif form is Format.csv:
        show(_rows(view), form=form, columns=COLUMNS)
    else:
        print_table(_rows(view), COLUMNS)
        print()  # noqa: T201
        print_table(_totals(view), ("total", "value"))


def _rows(view: ArchitectureView) -> list[dict[str, Any]]:
    return [
        {
            **layer,
            "output_shape": _times(layer["output_shape"]),
            "receptive_field": _field(layer["receptive_field"]),
        }
        for layer in as_plain(view)["cost"]["layers"]
    ]


def _totals(view: ArchitectureView) -> list[dict[str, Any]]:
    """Every figure of the whole network, as rows."""
    cost = as_plain(view)["cost"]
    counts = {name: value for name, value in cost.items() if isinstance(value, int)}
    facts = {"receptive_field": _field(cost["receptive_field"]), "hash": view.architecture_hash}
    return [
        {"total": name, "value": value}
        for name, value in ({"summary": view.summary} | counts | facts).items()
    ]


def _field(field: dict[str, list[int]] | None) -> str:
    """A receptive field: 3x3, or 3x3-9x9 where branches differ; empty where the whole map is seen."""
    if field is None:
        return ""
    return "-".join(dict.fromkeys(map(_times, (field["smallest"], field["largest"]))))


def _times(shape: list[int]) -> str:
    return "x".join(map(str, shape))


def _write(path: Path, picture: str) -> None:
    try:
        path.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise ServiceError(f"cannot write {path}: {error.strerror}") from error
    say(f"wrote {path}")
