"""The server process: `python -m nas_service.server`."""

import asyncio
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

import uvicorn

from nas_service import __version__, collecting, logs
from nas_service.api.binding import check_binding
from nas_service.app import create_app
from nas_service.errors import InvalidInput, ServiceError
from nas_service.service import Service
from nas_service.settings import Settings

# This module is "__main__" where it runs.
log = logging.getLogger("nas.server")
# Requests that run when the server is told to end have this long; an open event stream ends at once.
SHUTDOWN_S = 6
# A server that still hangs then is ended by the system.
END_WITHIN_S = 9


class Server(uvicorn.Server):
    """A server that ends its event streams before it waits for connections to close."""

    def __init__(self, settings: Settings, *, has_process: bool = False) -> None:
        """Make a server.

        Args:
            settings: Where it listens, and on which database.
            has_process: Nothing else runs in this process, and it ends with the server.
        """
        check_binding(settings)
        self._has_process = has_process
        self._app = create_app(settings)
        self._delay_s = settings.shutdown_delay_s
        self._ends_at = math.inf
        super().__init__(
            uvicorn.Config(
                self._app,
                host=settings.host,
                port=settings.port,
                # Its lines go the way of all others.
                log_config=None,
                access_log=False,
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

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end on the first signal; end at once on the second.

        Nothing is logged in here: the signal may have come while a line was being written.
        """
        if self._app.state.is_ending:
            os._exit(128 + sig)
        self._app.state.is_ending = True
        self._ends_at = time.monotonic() + self._delay_s
        self.should_exit = not self._delay_s
        signal.alarm(math.ceil(self._delay_s) + END_WITHIN_S)

    async def on_tick(self, counter: int) -> bool:
        """Return whether it is time to stop accepting."""
        return time.monotonic() >= self._ends_at or await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._has_process:
            self._settling = asyncio.create_task(self._settle())
        log.info("version %s listens on %s", __version__, self.address)

    async def _settle(self) -> None:
        """Once studies are read ahead, the search for garbage has nothing to look for in what there is."""
        await asyncio.wait([self._app.state.warming])
        collecting.settle()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("ending: requests that run have %d s", SHUTDOWN_S)
        tail = getattr(self._app.state, "tail", None)
        if tail is not None:
            tail.close()
        await super().shutdown(sockets)
        log.info("ended")

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
    """Run the server in this process until SIGINT or SIGTERM.

    Raises:
        ServiceError: The database or the settings are none to work with.
    """
    # Once before: what is wrong then would end in a traceback of uvicorn's.
    Service.open(settings).close()
    Server(settings, has_process=True).run()


def serving(settings: Settings) -> AbstractContextManager[str]:
    """Serve from a thread of this process and yield the address; port 0 picks a free one."""
    return Server(settings).in_thread()


def main() -> int:
    """Serve with the settings of the environment."""
    try:
        settings = Settings()
        logs.setup(settings)
        serve(settings)
    except InvalidInput as error:
        sys.stderr.write(f"nas: {error}\n")
        return 2
    except ServiceError as error:
        sys.stderr.write(f"nas: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
