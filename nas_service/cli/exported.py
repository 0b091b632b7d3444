"""`nas predict`: try an exported network at once."""

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from nas_service.cli import options
from nas_service.cli.output import Format, print_table, say, show
from nas_service.errors import FieldError, InvalidInput
from nas_service.exported import ExportedNetwork
from nas_service.input_scale import InputScale


def predict(
    folder: Annotated[Path, typer.Argument(help="Folder that 'nas trial export' wrote.")],
    examples: Annotated[str, typer.Argument(help="An image, a folder of images, an .npz or .npy file.")],
    name: Annotated[
        str, typer.Option("--file", help="ONNX file of the folder, such as model-int8.onnx.")
    ] = "model.onnx",
    limit: Annotated[int, typer.Option(help="At most so many examples.", min=1)] = 1000,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """Say what an exported network takes examples for; they are numbers as in its data set.

    The built-in digits, for instance, are scaled to 0-255, where scikit-learn has 0-16. Numbers that lie far
    outside what the network was trained on, or vary far less, get a warning.
    """
    if not examples.strip():
        raise InvalidInput(FieldError("/examples", "is empty", "an image, a folder, an .npz or .npy file"))
    network = ExportedNetwork(folder, name)
    scale = InputScale(network.preprocessing)
    found = islice(network.predict(Path(examples), on_examples=scale.look), limit)
    rows = [asdict(prediction) for prediction in found]
    if doubt := scale.doubt():
        say(f"warning: {doubt}")
    form = options.chosen_format(output, as_json)
    if form is not Format.table:
        show(rows, form=form, columns=("example", "label", "probability"))
        return
    for row in rows:
        row["probability"] = f"{100 * row['probability']:.1f} %"
        row["then"] = ", ".join(f"{label} {100 * share:.1f} %" for label, share in row["best"][1:])
    print_table(rows, ("example", "label", "probability", "then"))
