"""Settings that are more than a value."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from nas_service.errors import InvalidInput
from nas_service.settings import Settings


def test_the_database_s_password_may_stand_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p@ss/word:1 %\n")
    settings = Settings(database_url="postgresql://nas@db:5433/nas?x=1", database_password_file=secret)
    url = make_url(settings.resolved_database_url)
    assert (url.username, url.password, url.host, url.port) == ("nas", "p@ss/word:1 %", "db", 5433)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://db/nas", "must name a user"),
        ("postgresql://nas:old@db/nas", "and no password"),
        (None, "must name a user"),
    ],
)
def test_a_password_file_wants_a_url_with_a_user_alone(url: str | None, words: str, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("x")
    settings = Settings(home=tmp_path, database_url=url, database_password_file=secret)
    with pytest.raises(InvalidInput, match=words):
        _ = settings.resolved_database_url


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = Settings(database_url="postgresql://nas@db/nas", database_password_file=tmp_path / "none")
    with pytest.raises(InvalidInput, match=r"NAS_DATABASE_PASSWORD_FILE.*none"):
        _ = settings.resolved_database_url
