"""Where a command acts: a server over HTTP, or the data folder of this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from nas_service.cli.local_service import LocalService
from nas_service.client import RemoteService
from nas_service.service import Service
from nas_service.settings import Settings

Backend = Service | RemoteService


def server_address(server: str | None) -> str | None:
    """Return the server to talk to: the flag, else NAS_SERVER, else None for the local data folder."""
    return server or os.environ.get("NAS_SERVER") or None


@contextmanager
def connected(server: str | None) -> Iterator[Backend]:
    """Open the service that the command acts on, and close it afterwards."""
    address = server_address(server)
    if address:
        with RemoteService(address) as client:
            yield client
        return
    service = LocalService.open(Settings())
    try:
        yield service
    finally:
        service.close()
