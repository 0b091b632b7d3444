"""Running the endpoint of an exported network."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from nas_service.errors import ServiceError
from nas_service.exported import ExportedNetwork
from nas_service.model_server import Limits, create_model_app
from nas_service.settings import Settings


def serve(
    network: ExportedNetwork, settings: Settings, token: str | None, say: Callable[[str], object]
) -> None:
    """Answer until SIGINT or SIGTERM.

    Raises:
        ServiceError: The address is taken, or none of this machine.
    """
    app = create_model_app(network, settings, token=token, limits=Limits())
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws="none",
        lifespan="off",
        server_header=False,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        proxy_headers=settings.behind_proxy,
        forwarded_allow_ips=settings.trusted_proxies,
    )
    with _listening(settings.host, settings.port) as listener:
        host, port = listener.getsockname()[:2]
        scheme = "https" if settings.tls_cert else "http"
        shown = f"[{host}]" if ":" in host else host
        address = f"{scheme}://{shown}:{port}"
        say(f"POST examples to {address}/predict; Ctrl-C ends it")
        say(f"  curl {_example(network)} {address}/predict")
        uvicorn.Server(config).run([listener])


def _example(network: ExportedNetwork) -> str:
    """Return how curl sends a file of the kind that the network takes."""
    channels, *sizes = network.preprocessing.input_shape
    is_picture = len(sizes) == 2 and channels in (1, 3)
    name, kind = ("picture.png", "image/png") if is_picture else ("examples.npy", "application/x-npy")
    return f"--data-binary @{name} -H 'Content-Type: {kind}'"


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ServiceError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    with listener:
        yield listener
