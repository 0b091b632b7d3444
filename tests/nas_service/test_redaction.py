"""No secret survives, in whatever form it turns up."""

import pytest

from nas_service.redaction import conceal, conceal_password, redacted

TOKEN = "nw_Zm9vYmFy-0123_456789abcdefghijklmnopqrstuvw"


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"Authorization: Bearer {TOKEN}",
        "Authorization: Basic aHVudGVyMg==hunter2",
        "headers={'authorization': 'Bearer hunter2', 'host': 'x'}",
        "Headers([(b'authorization', b'Bearer hunter2')])",
        "('Authorization', 'hunter2')",
        "Cookie: nas_session=hunter2; other=1",
        "{'set-cookie': 'nas_session=hunter2; HttpOnly'}",
        "postgresql://nas:hunter2@host:5432/nas",
        "postgresql+psycopg://nas:hunter2/with@more:hunter2@host/nas",
        "http://:hunter2@host/",
        "connection failed: host=db user=nas password=hunter2 dbname=nas",
        "{'password': 'hunter2'}",
        "PGPASSWORD=hunter2",
    ],
)
def test_secrets_are_replaced(text: str) -> None:
    hidden = redacted(text)
    assert "***" in hidden
    assert "hunter2" not in hidden
    assert TOKEN[3:] not in hidden


@pytest.mark.parametrize(
    "text",
    [
        "study 3 trial 17: complete, accuracy 0.9712",
        "http://127.0.0.1:8000/api/v1/studies answered 404",
        "sqlite:////home/me/.nas/nas.db",
        "mail me@example.test about http://host:8000/",
        "nw_short",
        "the bearer of a token",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    expected = text.replace("bearer of", "bearer ***")
    assert redacted(text) == expected


def test_a_password_is_hidden_outside_of_its_url_too() -> None:
    conceal_password("postgresql://nas:s3cret%2Fword@host/nas")
    assert "s3cret" not in redacted("FATAL: s3cret%2Fword is wrong")
    conceal("s3cret/word")
    assert redacted("FATAL: s3cret/word is wrong") == "FATAL: *** is wrong"


def test_an_empty_or_short_secret_hides_no_ordinary_word() -> None:
    for secret in (None, "", "nas"):
        conceal(secret)
    assert redacted("the nas service") == "the nas service"
