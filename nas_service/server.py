"""The server process: `python -m nas_service.server`."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from nas_service.app import create_app
from nas_service.errors import ServiceError
from nas_service.settings import Settings

# An open event stream must not keep the server from stopping.
SHUTDOWN_S = 2


class Server(uvicorn.Server):
    """A server that ends its event streams before it waits for connections to close."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        tail = getattr(self._app.state, "tail", None)
        if tail is not None:
            tail.close()
        await super().shutdown(sockets)

    def __init__(self, settings: Settings) -> None:
        self._app = create_app(settings)
        super().__init__(
            uvicorn.Config(
                self._app,
                host=settings.host,
                port=settings.port,
                log_level="warning",
                ws="none",
                lifespan="on",
                server_header=False,
                timeout_graceful_shutdown=SHUTDOWN_S,
            )
        )

    @property
    def address(self) -> str:
        """Where the running server listens."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(settings: Settings) -> None:
    """Run the server in this process until SIGINT or SIGTERM."""
    Server(settings).run()


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Serve from a thread of this process and yield the address; port 0 picks a free one."""
    server = Server(settings)
    thread = threading.Thread(target=server.run, name="server", daemon=True)
    thread.start()
    pause = threading.Event()
    while not server.started and thread.is_alive():
        pause.wait(0.01)
    if not server.started:
        raise ServiceError(f"the server did not start on {settings.host}:{settings.port}")
    try:
        yield server.address
    finally:
        server.should_exit = True
        thread.join()


def main() -> int:
    """Serve with the settings of the environment."""
    try:
        serve(Settings())
    except ServiceError as error:
        sys.stderr.write(f"nas: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
