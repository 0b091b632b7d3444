"""S8: pictures that are too large, broken, animated or no pictures are refused before they are decoded."""

from collections.abc import Callable
from pathlib import Path

import hostile_files as files
import httpx
import PIL
import pytest

from nas_service.datasets import read_dataset

Refusal = Callable[[bytes, str], str]
PICTURES = files.bad_pictures()


@pytest.mark.parametrize("name", PICTURES)
def test_a_bad_picture_is_named(name: str, refusal: Refusal) -> None:
    assert name in refusal(files.zipped(files.pictures({f"a/{name}": PICTURES[name]})), "pictures.zip")


@pytest.mark.parametrize("name", PICTURES)
def test_a_bad_picture_that_comes_first_is_named(name: str, refusal: Refusal) -> None:
    assert name in refusal(files.zipped({f"Z/{name}": PICTURES[name], **files.pictures()}), "pictures.zip")


def test_a_million_files_are_refused_before_they_are_listed(refusal: Refusal) -> None:
    assert "too many files" in refusal(files.many_members(1_000_000), "pictures.zip")


def test_more_pixels_than_a_data_set_may_have_are_refused(refusal: Refusal) -> None:
    # Each picture packs to 16 kB, and all together would unpack to 10 GB.
    picture = files.png((4096, 4096))
    members = {f"{kind}/{number}.png": picture for kind in "ab" for number in range(300)}
    assert "too many pixels" in refusal(files.zipped(members), "pictures.zip")


def test_an_image_folder_with_a_link_is_refused(tmp_path: Path) -> None:
    for name, content in files.pictures().items():
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert read_dataset(tmp_path / "set").classes == 2
    (tmp_path / "set" / "a" / "link.png").symlink_to("/etc/passwd")
    with pytest.raises(Exception, match="link"):
        read_dataset(tmp_path / "set")


def test_transparent_palettes_are_read(tmp_path: Path) -> None:
    import io

    from PIL import Image

    stream = io.BytesIO()
    picture = Image.new("P", (8, 8), 3)
    picture.putpalette([number for number in range(256) for _ in range(3)])
    picture.save(stream, "PNG", transparency=bytes(range(256)))
    path = tmp_path / "set.zip"
    path.write_bytes(files.zipped({f"{kind}/{n}.png": stream.getvalue() for kind in "ab" for n in range(3)}))
    assert read_dataset(path).input_shape == (3, 8, 8)


def test_uploaded_pictures_are_422_and_the_server_goes_on(
    upload: Callable[..., httpx.Response], http: httpx.Client
) -> None:
    bad = {f"a/{name}": PICTURES[name] for name in ("10k.png", "truncated.png", "fits.png", "frames.png")}
    for name, content in bad.items():
        answer = upload(files.zipped(files.pictures({name: content})), "pictures.zip")
        assert answer.status_code == 422
        assert name in answer.json()["detail"]
    answer = upload(files.many_members(1_000_000), "pictures.zip")
    assert answer.status_code == 422
    assert http.get("/readyz").status_code == 200


def test_pillow_is_recent_enough() -> None:
    assert tuple(map(int, PIL.__version__.split(".")[:2])) >= (12, 3)
