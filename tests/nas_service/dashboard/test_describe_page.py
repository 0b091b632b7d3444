"""The pages that show architectures and families, as a client without a browser sees them."""

import json
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from httpx import Client

from nas_service.dashboard.family_contents import ranges
from nas_service.plain_data import read_data
from nas_service.server import serving
from nas_service.settings import Settings
from search_spaces import analyse, families, resolve_space
from search_spaces.families.pictures import typical

DATA = typical(families.names()[0]).to_dict()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """These pages change nothing: one server serves all."""
    settings = Settings(home=tmp_path_factory.mktemp("pages"), port=0)
    with serving(settings) as address, Client(base_url=address, trust_env=False) as client:
        yield client


def test_every_family_has_a_picture_a_size_and_an_address(client: Client) -> None:
    page = unescape(client.get("/families").text)
    for family in families.names():
        member = families.get(family)
        assert f'href="/families/{family}"' in page
        assert member.summary in page
        assert f"{member.space.size():,}" in page
        assert f"Network {typical(family).hash[:8]}" in page


# One of each kind: the union, stages without branches, layouts with shares.
@pytest.mark.parametrize("family", ["multi_scale", "two_conv", "pyramidal"])
def test_a_family_tells_its_source_its_ranges_and_its_yaml(client: Client, family: str) -> None:
    page = unescape(client.get(f"/families/{family}").text)
    member = families.get(family)
    assert member.source in page
    assert f"Architecture {typical(family).hash[:8]}" in page
    for field, choices in ranges(member.space.to_dict()):
        assert f'<code>{field}</code></th><td class="small">{choices}</td>' in page
    yaml = page.split('id="yaml"')[1].split(">", 1)[1].split("</pre>")[0]
    assert resolve_space(read_data(yaml)) == member.space


def test_what_is_no_family_is_named(client: Client) -> None:
    answer = client.get("/families/none<b>")
    assert answer.status_code == 404
    assert "There is no family" in answer.text
    assert "<b>" not in answer.text


@pytest.mark.parametrize("family", families.names())
def test_the_example_of_a_family_is_described(client: Client, family: str) -> None:
    page = client.get("/describe", params={"family": family}).text.replace("<wbr>", "")
    assert typical(family).hash in page
    for layer in analyse(typical(family)).layers:
        assert layer.name in page


def test_a_pasted_architecture_is_described_and_stays_in_the_form(client: Client) -> None:
    text = "\n" + json.dumps(DATA, indent=1)
    answer = client.post("/describe", data={"architecture": text})
    assert answer.status_code == 200
    page = unescape(answer.text)
    assert typical(families.names()[0]).hash in page
    # The first new line belongs to the tag.
    assert f">\n{text}</textarea>" in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clases": 3}, ["<strong>clases</strong>", "did you mean 'classes'"]),
        ({"head": {"pool": "mean"}}, ["<strong>head.pool</strong>", "Allowed: avg, max, flatten"]),
        ({"classes": "<script>x</script>"}, ["&lt;script&gt;", "2 to 100000"]),
    ],
)
def test_what_is_wrong_is_named_and_the_text_kept(
    client: Client, changes: dict[str, Any], words: list[str]
) -> None:
    answer = client.post("/describe", data={"architecture": json.dumps({**DATA, **changes})})
    assert answer.status_code == 422
    assert "<script>x" not in answer.text
    page = answer.text.replace("&#39;", "'")
    assert 'aria-invalid="true"' in page
    for word in words:
        assert word in page


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"architecture=" + b"x" * 2_000_000, "application/x-www-form-urlencoded", 413),
        (b"{}", "application/json", 415),
        (b"", "application/x-www-form-urlencoded", 422),
    ],
)
def test_a_wrong_body_is_answered_by_a_page(client: Client, body: bytes, kind: str, status: int) -> None:
    answer = client.post("/describe", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")


def test_another_site_cannot_post_the_form(client: Client) -> None:
    answer = client.post("/describe", data={"architecture": "{}"}, headers={"Origin": "http://example.test"})
    assert answer.status_code == 403
