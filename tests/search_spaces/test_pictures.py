"""The committed pictures are those of today's families, and stand on any page."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from search_spaces import families
from search_spaces.diagram import svg
from search_spaces.families.pictures import FOLDER, PAGE, documents, main, typical
from search_spaces.svg_file import standalone

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def test_the_committed_documents_are_up_to_date() -> None:
    expected = documents()
    committed = {path.relative_to(ROOT): path for path in [ROOT / PAGE, *(ROOT / FOLDER).glob("*.svg")]}
    assert committed.keys() == expected.keys(), "run: python -m search_spaces.families.pictures"
    for path, text in expected.items():
        assert committed[path].read_text(encoding="utf-8") == text, (
            f"{path}: run python -m search_spaces.families.pictures"
        )


def test_pictures_of_families_that_are_gone_are_taken_away(tmp_path: Path) -> None:
    main([str(tmp_path)])
    (tmp_path / FOLDER / "gone.svg").write_text("<svg/>")
    main([str(tmp_path)])
    assert sorted(path.stem for path in (tmp_path / FOLDER).iterdir()) == sorted(families.names())


@pytest.mark.parametrize("family", families.names())
def test_a_picture_brings_its_own_ground_and_colour(family: str) -> None:
    root = ElementTree.fromstring(standalone(svg(typical(family))))
    assert root.get("color") not in (None, "currentColor")
    shapes = [child for child in root if child.tag not in (f"{SVG}title", f"{SVG}desc", f"{SVG}style")]
    assert shapes[0].get("class") == "ground"
    assert shapes[0].get("fill") == "#ffffff"
    assert "href" not in standalone(svg(typical(family)))
