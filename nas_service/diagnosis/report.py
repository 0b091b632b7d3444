"""All findings of one machine."""

import importlib.util
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from nas_service.client import RemoteService
from nas_service.connection import is_loopback
from nas_service.diagnosis.activity import check_activity
from nas_service.diagnosis.check import Check, explained, fail, ok
from nas_service.diagnosis.database import check_database, is_usable
from nas_service.diagnosis.folders import check_artifacts, check_folder
from nas_service.diagnosis.network import check_server, given_token
from nas_service.diagnosis.packages import check_packages
from nas_service.service import Service
from nas_service.settings import Settings

# libpq's own wait has no end.
CONNECT_TIMEOUT_S = "4"
DEVICE_TIMEOUT_S = 60.0


def diagnose(settings: Settings, server: str | None) -> list[Check]:
    """Return the findings: of a server where one is named, else of the data folder and what uses it.

    Args:
        settings: The data folder and database.
        server: A server's address.
    """
    os.environ.setdefault("PGCONNECT_TIMEOUT", CONNECT_TIMEOUT_S)
    # The longest of all, so it goes on beside the others.
    device = _start_device_check()
    checks = [*explained("packages", check_packages, "install again")]
    checks += _of_server(settings, server) if server else _of_folder(settings)
    return checks + explained("device", partial(_finish_device_check, device), "run: nas worker doctor")


def _of_server(settings: Settings, server: str) -> list[Check]:
    # As for all commands: this machine's token never leaves the machine.
    token = given_token(settings.data_home / "token" if is_loopback(server) else Path(os.devnull))
    found = check_server(server, is_needed=True, token=token)
    if any(check.verdict == "fail" for check in found):
        return found
    with RemoteService(server) as client:
        return found + explained("workers", partial(check_activity, client), "see the server's log")


def _of_folder(settings: Settings) -> list[Check]:
    address = f"http://{_dialled(settings.host)}:{settings.port}"
    own = given_token(settings.data_home / "token")
    return [
        *explained("folder", partial(check_folder, settings), "set NAS_HOME to a folder of this user"),
        *explained("database", partial(check_database, settings), "check NAS_DATABASE_URL and the database"),
        *explained("artifacts", partial(check_artifacts, settings), "check the folder's disk and owner"),
        *check_server(address, is_needed=False, token=own),
        *explained("workers", partial(_activity, settings), "repair the database first"),
    ]


def _activity(settings: Settings) -> list[Check]:
    if not is_usable(settings):
        return []
    service = Service.open(settings, migrate=False)
    try:
        return check_activity(service)
    finally:
        service.close()


def _dialled(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host


def _start_device_check() -> "subprocess.Popen[str] | None":
    """Start the workers' own check of the device; None where no worker could run."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("workers") is None:
        return None
    # The service never imports the workers' package.
    command = [sys.executable, "-m", "workers.doctor", "--device-only", "--output", "json"]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _finish_device_check(process: "subprocess.Popen[str] | None") -> list[Check]:
    if process is None:
        return [ok("device", "no torch here: this machine can serve, not train")]
    try:
        said, complaint = process.communicate(timeout=DEVICE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return [fail("device", f"no answer within {DEVICE_TIMEOUT_S:.0f} s", "run: nas worker doctor")]
    if not said:
        text = complaint.strip().splitlines()[-1:] or ["it said nothing"]
        return [fail("device", text[0], "run: nas worker doctor")]
    return [Check.model_validate(entry) for entry in json.loads(said)]
