"""The server as others reach it."""

import os
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from nas_service import __version__
from nas_service.connection import is_loopback
from nas_service.diagnosis.check import Check, fail, ok, warn
from nas_service.diagnosis.database import clock
from nas_service.exchange import PREFIX
from nas_service.redaction import redacted

TIMEOUT = httpx.Timeout(3.0)
# A call of the ledger that changes nothing, for tokens that reach no more than the ledger.
HARMLESS = f"{PREFIX}/measurements:known"


def check_server(address: str, *, is_needed: bool, token: str | None, as_worker: bool = False) -> list[Check]:
    """Return whether a server answers, its version, its clock, and whether it takes the token.

    Args:
        address: Where it should be.
        is_needed: Whether it was asked for; a server of this machine may as well not run.
        token: What to show it.
        as_worker: Whether to try the token on the ledger.
    """
    shown = redacted(address)
    try:
        with httpx.Client(base_url=address, timeout=TIMEOUT, trust_env=not is_loopback(address)) as client:
            answer = client.get("/healthz")
            said = answer.json() if answer.is_success else {}
            if said.get("service") != "nas":
                return [fail("server", f"{shown} answers, but is no server of ours", "check NAS_SERVER")]
            found = [_version(shown, str(said.get("version"))), _clock(answer)]
            return [*found, *_token(client, token, as_worker=as_worker)]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        text = f"{shown} does not answer ({type(error).__name__})"
        if is_needed:
            return [fail("server", text, "start it with: nas up; check NAS_SERVER, proxies and firewalls")]
        return [warn("server", text, "start it with: nas up; for another set NAS_SERVER")]


def given_token(file: Path) -> str | None:
    """Return NAS_TOKEN, or else what a file holds; None without either."""
    if given := os.environ.get("NAS_TOKEN"):
        return given
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def _version(shown: str, theirs: str) -> Check:
    if theirs != __version__:
        return warn("server", f"{shown} is version {theirs}, this is {__version__}", "use one everywhere")
    return ok("server", f"{shown} answers, version {theirs}")


def _clock(answer: httpx.Response) -> Check:
    date = answer.headers.get("date")
    if date is None:
        return warn("clock", "the server says no time", "a proxy in front takes the Date header away")
    # The header knows whole seconds, and is renewed once a second.
    return clock("server", lambda: parsedate_to_datetime(date).timestamp(), resolution_s=2.0)


def _token(client: httpx.Client, token: str | None, *, as_worker: bool) -> list[Check]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    query = {"network_hash": "0" * 64, "device": "cpu"} if as_worker else {"page_size": "1"}
    answer = client.get(HARMLESS if as_worker else f"{PREFIX}/studies", params=query, headers=headers)
    if answer.is_success:
        return [ok("token", "the server takes it" if token else "the server asks for none here")]
    if answer.status_code in (401, 403):
        advice = f"set NAS_TOKEN to a {'worker ' if as_worker else ''}token of this server"
        return [fail("token", f"the server refuses it ({answer.status_code})", advice)]
    return [fail("server", f"a read answered {answer.status_code}", "see the server's log")]
