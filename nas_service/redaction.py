"""Texts without secrets: what may stand in logs, errors, pages and event streams."""

import re
from urllib.parse import quote, urlsplit

HIDDEN = "***"
# Shorter ones stand in ordinary words too.
LEAST_CONCEALED = 6
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Tokens, wherever they turn up, hashed ones apart: those do not log in.
    (re.compile(r"\bnw_[A-Za-z0-9_-]{8,}"), f"nw_{HIDDEN}"),
    # Headers, as HTTP writes them or as Python shows a mapping of them.
    (
        re.compile(
            r"(?i)((?:proxy-)?authorization['\"]?\s*[:=,]\s*(?:b(?=['\"]))?['\"]?)(?:(bearer|basic)\s+)?[^\s'\",)]+"
        ),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(r"(?i)\b((?:set-)?cookie['\"]?\s*[:=,]\s*(?:b(?=['\"]))?['\"]?)[^'\"\r\n)]+"),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)\b(bearer\s+)[^\s'\",)]+"), rf"\1{HIDDEN}"),
    # The password of a URL; one that was not encoded may hold "/", "@" and ":" itself.
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@'\"]*:)[^\s'\"]+(@)"), rf"\1{HIDDEN}\2"),
    # The drivers' own notation: "host=... password=...", and their variables.
    (re.compile(r"(?i)(passw(?:or)?d['\"]?\s*[=:]\s*['\"]?)[^\s'\"&,;)]+"), rf"\1{HIDDEN}"),
)
# Every pattern needs one of these; most texts hold none, and are left at one look.
_SIGNS = re.compile(r"(?i)nw_|authorization|cookie|bearer|://|passw")
_concealed: set[str] = set()


def conceal(secret: str | None) -> None:
    """Hide this text, too, from now on in this process; one of few letters is left alone."""
    if secret and len(secret) >= LEAST_CONCEALED:
        _concealed.update({secret, quote(secret, safe="")})


def conceal_password(url: str | None) -> None:
    """Hide the password of a URL wherever it turns up, also without the URL."""
    try:
        conceal(urlsplit(url).password if url else None)
    except ValueError:
        # No URL: whoever opens it will say so.
        conceal(url)


def redacted(text: str) -> str:
    """Return a text in which tokens, passwords in URLs, and the values of secret headers are replaced.

    Example:
        >>> redacted("GET http://me:hunter2@host/ with Authorization: Bearer nw_0123456789")
        'GET http://me:***@host/ with Authorization: ***'
    """
    for secret in sorted(_concealed, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    if _SIGNS.search(text) is None:
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
