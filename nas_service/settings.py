"""Settings from the environment; every name starts with NAS_."""

import os
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from nas_service.containers import memory_limit
from nas_service.errors import FieldError, InvalidInput


class Settings(BaseSettings):
    """Where data lives and how the server listens.

    Each field is read from NAS_ and its name in capitals, for instance NAS_HOME.
    """

    model_config = SettingsConfigDict(env_prefix="NAS_", frozen=True)

    home: Path = Path("~/.nas")
    database_url: str | None = None
    # A file that holds the password for NAS_DATABASE_URL, which then names a user and no password.
    database_password_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    # Further names, separated by commas, that clients may reach the server by (a proxy, a DNS name).
    allowed_hosts: str = ""
    # PEM files; with them the server speaks https.
    tls_cert: Path | None = None
    tls_key: Path | None = None
    # Whoever dials from elsewhere comes through a proxy, or a network, that keeps tokens secret.
    behind_proxy: bool = False
    # Whose X-Forwarded-For and -Proto are believed behind a proxy: addresses and networks, by commas.
    trusted_proxies: str = "127.0.0.1,::1"
    # Event streams that one token, or one address without one, may hold open: half of what a server follows.
    max_streams_each: int = Field(default=250, ge=1)
    # A worker that has not been heard of for this long has lost its trial.
    lease_s: float = Field(default=60.0, gt=0.0)
    max_upload_bytes: int = Field(default=2 * 1024**3, gt=0)
    # What reading one uploaded data set may allocate; a third of the machine's memory by default.
    reader_memory_bytes: int | None = Field(default=None, gt=0)
    # By which part a worker's timings of one network may differ before it refuses to measure latency; None
    # leaves that to the worker.
    timing_noise_limit: float | None = Field(default=None, gt=0.0)
    # How long a worker that is told to end may go on with its epoch before it abandons it.
    drain_s: float = Field(default=8.0, ge=0.0)
    # How long a worker trains without storing a checkpoint, where no rung of early stopping comes sooner.
    checkpoint_s: float = Field(default=60.0, ge=0.0)
    # Where artifacts and data sets lie, see `nas_service.file_stores`; in the data folder by default.
    artifacts_url: str | None = None
    # What copies of files from elsewhere may take on this node, for artifacts and for data sets each.
    cache_bytes: int = Field(default=20 * 1000**3, gt=0)
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    # How long a server that is told to end still answers, while /readyz already sends new requests elsewhere.
    shutdown_delay_s: float = Field(default=0.0, ge=0.0, le=60.0)

    @model_validator(mode="wrap")
    @classmethod
    def _names_the_variable(cls, values: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Raise `InvalidInput` that names the variables with a wrong value."""
        try:
            return read(values)
        except ValidationError as error:
            wrong = [(f"NAS_{entry['loc'][0]}".upper(), entry["msg"]) for entry in error.errors()]
        raise InvalidInput(*(FieldError(name, message) for name, message in wrong))

    @property
    def data_home(self) -> Path:
        """The data folder, absolute."""
        return self.home.expanduser().absolute()

    @property
    def resolved_database_url(self) -> str:
        """The SQLAlchemy URL; an SQLite file in the data folder unless NAS_DATABASE_URL says otherwise.

        Raises:
            InvalidInput: NAS_DATABASE_PASSWORD_FILE cannot be read, or the URL names no user for it.
        """
        url = self.database_url or f"sqlite:///{self.data_home / 'nas.db'}"
        return url if self.database_password_file is None else self._with_password(url)

    def _with_password(self, url: str) -> str:
        name, path = "NAS_DATABASE_PASSWORD_FILE", self.database_password_file
        assert path is not None
        try:
            password = quote(path.read_text(encoding="utf-8").strip(), safe="")
        except OSError as error:
            raise InvalidInput(FieldError(name, f"{path} cannot be read: {error.strerror}")) from error
        scheme, _, rest = url.partition("://")
        user, at, place = rest.partition("@")
        if not at or ":" in user or "/" in user:
            message = "NAS_DATABASE_URL must name a user and no password"
            raise InvalidInput(FieldError(name, message, "postgresql://USER@HOST/NAME"))
        return f"{scheme}://{user}:{password}@{place}"

    @property
    def uploads_folder(self) -> Path:
        """Uploads until they are read; empty at rest."""
        return self.data_home / "uploads"

    @property
    def reader_memory(self) -> int:
        """What reading one uploaded data set may allocate, in bytes."""
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return self.reader_memory_bytes or min(machine, memory_limit() or machine) // 3

    @property
    def datasets_folder(self) -> Path:
        """Canonical data set files, named by sha256, unless NAS_ARTIFACTS_URL says otherwise."""
        return self.data_home / "datasets"

    @property
    def artifacts_folder(self) -> Path:
        """Checkpoints and architectures, named by sha256, unless NAS_ARTIFACTS_URL says otherwise."""
        return self.data_home / "artifacts"
