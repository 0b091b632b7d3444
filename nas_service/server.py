"""The server process: `python -m nas_service.server`."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import uvicorn

from nas_service.api.binding import check_binding
from nas_service.app import create_app
from nas_service.errors import InvalidInput, ServiceError
from nas_service.settings import Settings

# An open event stream must not keep the server from stopping.
SHUTDOWN_S = 2


class Server(uvicorn.Server):
    """A server that ends its event streams before it waits for connections to close."""

    def __init__(self, settings: Settings) -> None:
        check_binding(settings)
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
                ssl_certfile=settings.tls_cert,
                ssl_keyfile=settings.tls_key,
                # What clients say of themselves counts behind a proxy alone, and there the proxy's word.
                proxy_headers=settings.behind_proxy,
                forwarded_allow_ips=settings.trusted_proxies,
                timeout_graceful_shutdown=SHUTDOWN_S,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        tail = getattr(self._app.state, "tail", None)
        if tail is not None:
            tail.close()
        await super().shutdown(sockets)

    @property
    def address(self) -> str:
        """Where the running server listens."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        scheme = "https" if self.config.is_ssl else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    @contextmanager
    def in_thread(self) -> Iterator[str]:
        """Run in a thread of this process and yield the address."""
        thread = threading.Thread(target=self.run, name="server", daemon=True)
        thread.start()
        pause = threading.Event()
        while not self.started and thread.is_alive():
            pause.wait(0.01)
        if not self.started:
            raise ServiceError(f"the server did not start on {self.config.host}:{self.config.port}")
        try:
            yield self.address
        finally:
            self.should_exit = True
            thread.join()


def serve(settings: Settings) -> None:
    """Run the server in this process until SIGINT or SIGTERM."""
    Server(settings).run()


def serving(settings: Settings) -> AbstractContextManager[str]:
    """Serve from a thread of this process and yield the address; port 0 picks a free one."""
    return Server(settings).in_thread()


def main() -> int:
    """Serve with the settings of the environment."""
    try:
        serve(Settings())
    except InvalidInput as error:
        sys.stderr.write(f"nas: {error}\n")
        return 2
    except ServiceError as error:
        sys.stderr.write(f"nas: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
