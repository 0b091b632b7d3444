"""Files by sha256 in an object store, by fsspec: s3://bucket/prefix, gs://bucket/prefix."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import fsspec

from nas_service.content import FULL, SHA256, sha256_of
from nas_service.errors import NotFound, ServiceError, StorageFull, Unavailable
from nas_service.node_cache import NodeCache

# A bucket that does not answer is told soon; whoever asked tries again.
OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {
        "use_listings_cache": False,
        "config_kwargs": {"connect_timeout": 5, "read_timeout": 60, "retries": {"max_attempts": 2}},
    },
    "gs": {"use_listings_cache": False},
}
CHUNK = 1024 * 1024


class ObjectStore:
    """`FileStore` below a URL. Objects are put whole, read through the node's cache, and checked there.

    Args:
        scheme: Of fsspec, "s3".
        root: Bucket and prefix.
        cache: Where this node keeps copies.
        suffix: Behind the hash in an object's name.
    """

    def __init__(self, scheme: str, root: str, cache: NodeCache, suffix: str = "") -> None:
        self._scheme = scheme
        self._root = root.rstrip("/")
        self._cache = cache
        self._suffix = suffix

    def put(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        with self._told_apart():
            self._filesystem.pipe_file(self._object(sha256), content)
        return sha256

    def put_file(self, path: Path) -> str:
        sha256 = sha256_of(path)
        with self._told_apart():
            self._filesystem.put_file(str(path), self._object(sha256))
        return sha256

    def path(self, sha256: str) -> Path:
        source = self._object(sha256)

        def fetch(stream: BinaryIO) -> None:
            with self._told_apart(sha256), self._filesystem.open(source, "rb") as remote:
                while part := remote.read(CHUNK):
                    stream.write(part)

        return self._cache.path(f"{sha256}{self._suffix}", sha256, fetch)

    def digest(self, sha256: str) -> str:
        found = hashlib.sha256()
        with self._told_apart(sha256), self._filesystem.open(self._object(sha256), "rb") as remote:
            while part := remote.read(CHUNK):
                found.update(part)
        return found.hexdigest()

    def holds(self, sha256: str) -> bool:
        with self._told_apart(sha256):
            return bool(self._filesystem.exists(self._object(sha256)))

    def names(self) -> Iterator[str]:
        with self._told_apart():
            found = self._filesystem.find(self._root)
        for path in sorted(found):
            name = path.rpartition("/")[2].removesuffix(self._suffix)
            if SHA256.fullmatch(name):
                yield name

    def modified_at(self, sha256: str) -> float:
        with self._told_apart(sha256):
            return float(self._filesystem.modified(self._object(sha256)).timestamp())

    def delete(self, sha256: str) -> None:
        target = self._object(sha256)
        with suppress(NotFound), self._told_apart(sha256):
            self._filesystem.rm_file(target)

    def sweep(self, older_than_s: float) -> int:
        # A put that broke off left nothing: there is no part to be seen.
        return 0

    @cached_property
    def _filesystem(self) -> Any:
        return fsspec.filesystem(self._scheme, **OPTIONS.get(self._scheme, {}))

    def _object(self, sha256: str) -> str:
        if not SHA256.fullmatch(sha256):
            raise NotFound(f"{sha256[:64]!r} is no sha256")
        return f"{self._root}/{sha256}{self._suffix}"

    @contextmanager
    def _told_apart(self, sha256: str = "") -> Iterator[None]:
        where = f"{self._scheme}://{self._root} (NAS_ARTIFACTS_URL)"
        try:
            yield
        except FileNotFoundError as error:
            if sha256:
                raise NotFound(f"there is no file {sha256[:12]} in {where}") from error
            raise Unavailable(f"{where} does not exist") from error
        except ServiceError:
            raise
        except OSError as error:
            raise _away(where, error) from error
        except Exception as error:
            # Drivers raise exceptions of their own libraries.
            raise Unavailable(f"{where} does not answer: {_line(error)}") from error


def _away(where: str, error: OSError) -> Unavailable:
    if error.errno in FULL:
        return StorageFull(f"no space is left in {where}; nothing that was stored is lost")
    return Unavailable(f"{where} does not answer: {_line(error)}")


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
