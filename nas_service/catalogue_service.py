"""The service's part on what there is to search with: families, data sets, workers, devices, files."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from nas_service.datasets import canonical_content, digits, summarised
from nas_service.datasets.apart import read_apart
from nas_service.descriptions import ArchitectureView, describe
from nas_service.errors import Conflict, FieldError, InvalidInput, NotFound, no_such
from nas_service.file_stores import FileStores
from nas_service.settings import Settings
from nas_service.store import catalogue, devices
from nas_service.store.latencies import DeviceLatencies, read_latencies
from nas_service.store.throughput import Throughput, recent_throughput
from nas_service.transactions import Transactions
from nas_service.views import DatasetUse, DatasetView, DeviceView, FamilyView, WorkerView
from search_spaces import families

# The data set that every installation has.
BUILT_IN = "digits"


class CatalogueService(Transactions):
    """The methods of `Service` on families, data sets, workers, devices and files."""

    settings: Settings
    stores: FileStores
    _has_digits: bool

    def families(self) -> list[FamilyView]:
        """List the families of architectures that ship."""
        return [self.family(name) for name in families.names()]

    def family(self, name: str) -> FamilyView:
        """Return one family and its space."""
        if name not in families.names():
            raise NotFound(f"there is no family {name[:60]!r}; there are {', '.join(families.names())}")
        family = families.get(name)
        return FamilyView(
            name=family.name,
            summary=family.summary,
            source=family.source,
            combinations=family.space.size(),
            space=family.space.to_dict(),
        )

    def describe(self, architecture: dict[str, Any]) -> ArchitectureView:
        """Return an architecture's canonical form, exact cost and pictures."""
        return describe(architecture)

    def datasets(self) -> list[DatasetView]:
        """List the registered data sets, the built-in digits among them."""
        self._register_digits()
        with self._reading() as connection:
            return catalogue.read_datasets(connection)

    def dataset(self, name: str) -> DatasetView:
        """Return one data set."""
        if name == BUILT_IN:
            self._register_digits()
        with self._reading() as connection:
            found = catalogue.read_dataset(connection, name)
        if found is None:
            raise no_such("data set", name)
        return found

    def add_dataset(self, path: Path, name: str | None) -> DatasetView:
        """Read, check and register a data set; the same data under the same name again are harmless.

        A process of its own reads it, with limits on memory and time.
        """
        if not path.exists():
            raise InvalidInput(FieldError("", f"there is no file or folder {path}"))
        memory, scratch = self.settings.reader_memory, self.settings.uploads_folder
        with read_apart(path, name, scratch=scratch, memory_bytes=memory) as dataset:
            sha256 = self.stores.datasets.put_file(dataset.path)
            with self._writing() as connection:
                registered = catalogue.insert_dataset(connection, dataset.summary, sha256)
            # Equal data of another name may have been deleted while this one waited for its row.
            if not self.stores.datasets.holds(sha256):
                self.stores.datasets.put_file(dataset.path)
            return registered

    def inspected_dataset(self, path: Path) -> DatasetView:
        """Return a data set as `add_dataset` would register it, and register nothing."""
        memory, scratch = self.settings.reader_memory, self.settings.uploads_folder
        with (
            read_apart(path, None, scratch=scratch, memory_bytes=memory) as dataset,
            dataset.path.open("rb") as file,
            self._reading() as connection,
        ):
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return catalogue.as_if_inserted(connection, dataset.summary, sha256)

    def delete_dataset(self, name: str) -> None:
        """Delete a data set that no study uses; the built-in digits stay."""
        if name == BUILT_IN:
            raise Conflict(f"{BUILT_IN!r} is built in and cannot be deleted")
        with self._writing() as connection:
            unused = catalogue.delete_dataset(connection, name)
            if unused is not None:
                self.stores.datasets.delete(unused)

    def dataset_uses(self, name: str, limit: int = 50) -> list[DatasetUse]:
        """Return the studies that search a data set, the newest first."""
        with self._reading() as connection:
            return catalogue.studies_on(connection, name, limit)

    def dataset_file(self, sha256: str) -> Path:
        """Return a local, verified copy of a data set's canonical file."""
        return self.stores.datasets.path(sha256)

    def artifact_path(self, sha256: str) -> Path:
        """Return a local, verified copy of a stored artifact."""
        try:
            return self.stores.artifacts.path(sha256)
        except NotFound as error:
            raise NotFound(f"there is no artifact {sha256[:64]!r}") from error

    def workers(self) -> list[WorkerView]:
        """List workers, alive or not."""
        with self._reading() as connection:
            return self._workers(connection)

    def devices(self) -> list[DeviceView]:
        """List where latency was, or is to be, measured."""
        with self._reading() as connection:
            return devices.read_devices(connection, self._workers(connection))

    def throughput(self) -> Mapping[int, Throughput]:
        """Return what each worker got done lately, by its id."""
        with self._reading() as connection:
            return recent_throughput(connection)

    def device_latencies(self, device: str) -> DeviceLatencies:
        """Return what the newest measurements of a device say, and how predictions for it have held."""
        with self._reading() as connection:
            return read_latencies(connection, device)

    def _register_digits(self) -> None:
        with self._reading() as connection:
            known = catalogue.read_dataset(connection, BUILT_IN)
        # Asked once: an object store is far away.
        self._has_digits = self._has_digits or bool(known and self.stores.datasets.holds(known.sha256))
        if known and self._has_digits:
            return
        dataset = digits()
        sha256 = self.stores.datasets.put(canonical_content(dataset))
        with self._writing() as connection:
            catalogue.insert_dataset(connection, summarised(dataset), sha256)

    def _workers(self, connection: Connection) -> list[WorkerView]:
        return catalogue.read_workers(connection, self.settings.lease_s)
