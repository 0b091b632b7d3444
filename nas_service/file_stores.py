"""Where artifacts and data sets lie: the data folder, or what NAS_ARTIFACTS_URL says."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import fsspec

from nas_service.content import FileStore, FolderStore
from nas_service.errors import FieldError, InvalidInput
from nas_service.node_cache import NodeCache
from nas_service.object_store import ObjectStore
from nas_service.settings import Settings

NAME = "NAS_ARTIFACTS_URL"
ALLOWED = "an absolute folder, file:///FOLDER, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"
# Which package is the driver.
DRIVERS = {"s3": "s3fs", "gs": "gcsfs"}
DATASET_SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class FileStores:
    """The stores of one installation."""

    # Weights, architectures, checkpoints.
    artifacts: FileStore
    # Canonical data sets.
    datasets: FileStore


def open_stores(settings: Settings) -> FileStores:
    """Return the stores that the settings name; nothing is read or written yet.

    Raises:
        InvalidInput: NAS_ARTIFACTS_URL is none that can be used; the message says why.
    """
    url = settings.artifacts_url
    if not url:
        return _in_folders(settings.artifacts_folder, settings.datasets_folder)
    scheme, root = _parsed(url)
    if scheme == "file":
        return _in_folders(Path(root) / "artifacts", Path(root) / "datasets")
    _check_driver(scheme)
    artifacts, datasets = (
        NodeCache(settings.data_home / "cache" / kind, settings.cache_bytes)
        for kind in ("artifacts", "datasets")
    )
    return FileStores(
        ObjectStore(scheme, f"{root}/artifacts", artifacts),
        ObjectStore(scheme, f"{root}/datasets", datasets, DATASET_SUFFIX),
    )


def _in_folders(artifacts: Path, datasets: Path) -> FileStores:
    return FileStores(FolderStore(artifacts), FolderStore(datasets, DATASET_SUFFIX))


def _parsed(url: str) -> tuple[str, str]:
    """Return scheme and root; a plain folder has the scheme "file"."""
    if "://" not in url:
        return "file", _absolute(str(Path(url).expanduser()))
    try:
        parts = urlsplit(url)
        has_secrets = bool(parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        raise _refused("is no URL") from None
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return "file", _absolute(unquote(parts.path))
    if parts.scheme not in (*DRIVERS, "memory"):
        raise _refused(f"has the scheme {parts.scheme[:20]!r}")
    if has_secrets:
        # What was given is not said: it may hold a password.
        raise _refused("holds more than a bucket and a prefix; keys belong into the driver's own settings")
    if not parts.netloc:
        raise _refused("names no bucket")
    return parts.scheme, f"{parts.netloc}{parts.path}".rstrip("/")


def _absolute(folder: str) -> str:
    if not Path(folder).is_absolute():
        raise _refused(f"{folder[:80]!r} is no absolute folder")
    return folder


def _check_driver(scheme: str) -> None:
    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError:
        raise _refused(f"{scheme}:// needs a driver: pip install {DRIVERS[scheme]}") from None


def _refused(message: str) -> InvalidInput:
    return InvalidInput(FieldError(NAME, message, ALLOWED))
