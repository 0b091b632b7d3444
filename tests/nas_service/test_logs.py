"""What a line of the log holds, and who decides that."""

import contextvars
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from nas_service import logs
from nas_service.errors import InvalidInput
from nas_service.logs import JsonLines, TextLines, about, checked_request_id
from nas_service.settings import Settings

Line = Callable[..., str]


def line(formatter: logging.Formatter, message: str, *values: object, **fields: object) -> str:
    record = logging.LogRecord("nas.test", logging.WARNING, __file__, 1, message, values, None)
    record.fields = fields
    return formatter.format(record)


def entry(message: str, *values: object, **fields: object) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(line(JsonLines(), message, *values, **fields))
    return content


def test_a_json_line_says_when_how_bad_who_and_what() -> None:
    told = entry("trial %d", 7, status=200)
    assert (told["level"], told["logger"], told["message"], told["status"]) == (
        "warning",
        "nas.test",
        "trial 7",
        200,
    )
    assert told["time"].endswith("Z")
    assert datetime.fromisoformat(told["time"]).utcoffset() is not None


def test_a_line_says_what_it_is_about_as_known_when_it_is_written() -> None:
    known: dict[str, object] = {}
    with about(lambda: known, study=1, request_id=None):
        assert "trial" not in entry("early")
        known["trial"] = 7
        with about(worker="inner"):
            told = entry("late")
    assert (told["study"], told["trial"], told["worker"]) == (1, 7, "inner")
    assert "request_id" not in told
    assert "study" not in entry("after")


def test_a_thread_in_a_copy_of_the_context_goes_on_with_it() -> None:
    told: list[dict[str, Any]] = []
    with about(study=5):
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(lambda: told.append(entry("beat")),))
        thread.start()
        thread.join()
    assert told[0]["study"] == 5


def test_a_message_stays_on_one_line_whatever_it_holds() -> None:
    forged = "study x\n2026-01-01T00:00:00.000Z info nas: all is well\x1b[2J"
    for formatter in (TextLines(), JsonLines()):
        text = line(formatter, "%s", forged)
        assert len(text.splitlines()) == 1
        assert "\x1b" not in text


def test_tracebacks_follow_without_secrets() -> None:
    try:
        raise ValueError("no access to postgresql://nas:hunter2@host/nas")
    except ValueError:
        record = logging.LogRecord("nas", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    for formatter in (TextLines(), JsonLines()):
        text = formatter.format(record)
        assert "ValueError" in text
        assert "hunter2" not in text


def test_fields_are_redacted_too() -> None:
    assert entry("x", header="Authorization: Bearer hunter2")["header"] == "Authorization: ***"


@pytest.mark.parametrize(
    "given", [None, "", "short", "a" * 65, "a b c d e f", "x\ny" * 4, "nw_0123456789abcdef"]
)
def test_what_is_no_request_id_is_not_taken(given: str | None) -> None:
    assert checked_request_id(given) is None


def test_a_valid_request_id_is_kept() -> None:
    assert checked_request_id("0af7651916cd43dd-1.x_2") == "0af7651916cd43dd-1.x_2"


def test_a_wrong_setting_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_LOG_LEVEL", "loud")
    with pytest.raises(InvalidInput, match=r"NAS_LOG_LEVEL.*'debug', 'info', 'warning' or 'error'"):
        Settings()


PROGRAM = """
import logging, threading, warnings
from nas_service import logs
from nas_service.settings import Settings
logs.setup(Settings(log_format="json", log_level="info"), worker="w1")
logging.getLogger("nas.worker").info("told")
logging.getLogger("nas.worker").debug("left out")
logging.getLogger("httpx").info("left out")
warnings.warn("careful with nw_0123456789")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start(); thread.join()
raise RuntimeError("Authorization: Bearer hunter2")
"""


def test_a_program_s_warnings_and_crashes_are_lines_like_all_others() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    lines = [json.loads(text) for text in done.stderr.splitlines()]
    assert [told["level"] for told in lines] == ["info", "warning", "critical", "critical"]
    assert {told["worker"] for told in lines} == {"w1"}
    assert "ZeroDivisionError" in lines[2]["exception"]
    assert "RuntimeError" in lines[3]["exception"]
    assert "hunter2" not in done.stderr
    assert "nw_0123456789" not in done.stderr


def test_importing_sets_nothing_up() -> None:
    assert logs.request_id() is None
