"""`nas serve-model` and `nas benchmark`: an exported network at work on this machine."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from nas_service.cli import options
from nas_service.cli.output import Format, say
from nas_service.devices import LOCAL_DEVICES
from nas_service.errors import FieldError, InvalidInput

Folder = Annotated[Path, typer.Argument(help="Folder that 'nas trial export' wrote.")]


def serve_model(
    folder: Folder,
    name: Annotated[str, typer.Option("--file", help="ONNX file of the folder.")] = "model.onnx",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 picks a free one.", min=0, max=65535)] = 8080,
    token_file: Annotated[
        Path | None, typer.Option(help="File with a token that requests must carry; needed off loopback.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM file; with --tls-key it speaks https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy or private network in front keeps tokens secret.")
    ] = False,
) -> None:
    """Answer over HTTP what an exported network takes examples for; ends with Ctrl-C.

    POST an image, an .npy or .npz file, or {"examples": [...]} to /predict; GET / tells what it takes.
    """
    # Uvicorn and ONNX Runtime are nothing for other commands.
    from nas_service.api.binding import check_binding, is_loopback
    from nas_service.exported import ExportedNetwork
    from nas_service.model_process import serve
    from nas_service.settings import Settings

    given = {"tls_cert": tls_cert, "tls_key": tls_key, "behind_proxy": behind_proxy or None}
    # What is not given may stand in the environment.
    known = {name: value for name, value in given.items() if value is not None}
    settings = Settings.model_validate({"host": host, "port": port, **known})
    check_binding(settings)
    token = _token(token_file)
    if token is None and not is_loopback(host):
        message = f"{host} is reached from other machines: requests must carry a token there"
        raise InvalidInput(FieldError("/token-file", message, "--token-file FILE, or --host 127.0.0.1"))
    network = ExportedNetwork(folder, name)
    serve(network, settings, token, say)


def benchmark(
    folder: Folder,
    device: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(LOCAL_DEVICES)}; may be repeated, cpu and cpu-torch by default."),
    ] = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """Measure the latency of every form of an exported network on this machine, as workers measure it."""
    for each in device or ():
        if each not in LOCAL_DEVICES:
            raise InvalidInput(FieldError("/device", f"{each[:40]!r} is unknown", ", ".join(LOCAL_DEVICES)))
    command = [sys.executable, "-m", "workers.export.timing"]
    command += [f"--device={each}" for each in device or ()]
    command += ["--output", options.chosen_format(output, as_json).value, "--", str(folder)]
    sys.stdout.flush()
    # The service never imports the workers' package: it becomes that process.
    os.execv(sys.executable, command)


def _token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(FieldError("/token-file", f"{path} cannot be read: {error}")) from error
    if not token:
        raise InvalidInput(FieldError("/token-file", f"{path} is empty"))
    return token
