"""Where the server may listen: off this machine only behind TLS, its own or a proxy's."""

import ipaddress

from nas_service.errors import FieldError, InvalidInput
from nas_service.settings import Settings


def is_loopback(host: str) -> bool:
    """Whether an address to bind to can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_binding(settings: Settings) -> None:
    """Raise `InvalidInput` where tokens would travel in the clear, or a certificate is not there."""
    for name in ("tls_cert", "tls_key"):
        path = getattr(settings, name)
        if path is not None and not path.is_file():
            raise InvalidInput(FieldError(f"/{name}", f"there is no file {path}"))
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise InvalidInput(FieldError("/tls_cert", "goes with NAS_TLS_KEY; one of them is missing"))
    if is_loopback(settings.host) or settings.tls_cert is not None or settings.behind_proxy:
        return
    raise InvalidInput(
        FieldError(
            "/host",
            f"{settings.host} is reached from other machines, where tokens must not travel in the clear: "
            "set NAS_TLS_CERT and NAS_TLS_KEY, or NAS_BEHIND_PROXY=1 (--behind-proxy) where a proxy or a "
            "private network in front sees to that, or listen on 127.0.0.1",
        )
    )
