"""The page of a data set: its examples, its balance, who uses it, and what is said where its file is gone."""

from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from httpx import Client

from nas_service.dashboard import dataset_contents
from nas_service.service import Service


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(base_url=address, trust_env=False) as client:
        yield client


def test_examples_counts_and_studies_are_shown(client: Client, new_search: Callable[..., Any]) -> None:
    search = new_search(name="on <digits>")
    page = unescape(client.get("/datasets/digits").text)
    assert page.count("<img ") == 80
    assert page.count("data:image/png;base64,") == 80
    assert 'alt="Example' in page
    assert f'<a href="/studies/{search.study}">on <digits></a>' in page
    # The built-in ones stay.
    assert "data-request" not in page


def test_of_many_classes_the_most_frequent_and_the_rarest_are_counted(
    client: Client, service: Service, tmp_path: Path
) -> None:
    labels = np.repeat(np.arange(50), np.arange(3, 53))
    np.savez(tmp_path / "many.npz", x=np.zeros((len(labels), 8, 8), np.uint8), y=labels)
    service.add_dataset(tmp_path / "many.npz", "many")
    page = client.get("/datasets/many").text
    rows = page.split('aria-label="Table of class balance"')[1].split("<tbody>")[1].split("</tbody>")[0]
    assert rows.count("<tr>") == dataset_contents.COUNTED_CLASSES
    assert '<th scope="row">49</th><td class="number">52</td>' in rows
    assert '<th scope="row">0</th><td class="number">3</td>' in rows
    assert "of the first 20 classes" in page
    assert 'data-request="DELETE /api/v1/datasets/many"' in page


def test_a_data_set_whose_file_is_gone_says_so(client: Client, service: Service, tmp_path: Path) -> None:
    np.savez(tmp_path / "gone.npz", x=np.full((40, 9, 9), 7, np.uint8), y=np.arange(40) % 4)
    sha256 = service.add_dataset(tmp_path / "gone.npz", "gone").sha256
    service.stores.datasets.delete(sha256)
    answer = client.get("/datasets/gone")
    assert answer.status_code == 200
    assert "Its examples cannot be shown" in answer.text
    assert client.get("/datasets/none").status_code == 404
