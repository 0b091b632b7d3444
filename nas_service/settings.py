"""Settings from the environment; every name starts with NAS_."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where data lives and how the server listens.

    Reads NAS_HOME, NAS_DATABASE_URL, NAS_HOST, NAS_PORT, NAS_ALLOWED_HOSTS, NAS_LEASE_S,
    NAS_MAX_UPLOAD_BYTES, NAS_TIMING_NOISE_LIMIT, NAS_DRAIN_S, NAS_CHECKPOINT_S, NAS_ARTIFACTS_URL
    and NAS_CACHE_BYTES.
    """

    model_config = SettingsConfigDict(env_prefix="NAS_", frozen=True)

    home: Path = Path("~/.nas")
    database_url: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    # Further names, separated by commas, that clients may reach the server by (a proxy, a DNS name).
    allowed_hosts: str = ""
    # A worker that has not been heard of for this long has lost its trial.
    lease_s: float = Field(default=60.0, gt=0.0)
    max_upload_bytes: int = Field(default=2 * 1024**3, gt=0)
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

    @property
    def data_home(self) -> Path:
        """The data folder, absolute."""
        return self.home.expanduser().absolute()

    @property
    def resolved_database_url(self) -> str:
        """The SQLAlchemy URL; an SQLite file in the data folder unless NAS_DATABASE_URL says otherwise."""
        return self.database_url or f"sqlite:///{self.data_home / 'nas.db'}"

    @property
    def datasets_folder(self) -> Path:
        """Canonical data set files, named by sha256, unless NAS_ARTIFACTS_URL says otherwise."""
        return self.data_home / "datasets"

    @property
    def artifacts_folder(self) -> Path:
        """Checkpoints and architectures, named by sha256, unless NAS_ARTIFACTS_URL says otherwise."""
        return self.data_home / "artifacts"
