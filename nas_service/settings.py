"""Settings from the environment; every name starts with NAS_."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where data lives and how the server listens.

    Reads NAS_HOME, NAS_DATABASE_URL, NAS_HOST, NAS_PORT, NAS_ALLOWED_HOSTS, NAS_TLS_CERT, NAS_TLS_KEY,
    NAS_BEHIND_PROXY, NAS_TRUSTED_PROXIES, NAS_MAX_STREAMS_EACH, NAS_LEASE_S, NAS_MAX_UPLOAD_BYTES and
    NAS_TIMING_NOISE_LIMIT.
    """

    model_config = SettingsConfigDict(env_prefix="NAS_", frozen=True)

    home: Path = Path("~/.nas")
    database_url: str | None = None
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
    # By which part a worker's timings of one network may differ before it refuses to measure latency; None
    # leaves that to the worker.
    timing_noise_limit: float | None = Field(default=None, gt=0.0)

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
        """Canonical data set files, named by sha256."""
        return self.data_home / "datasets"

    @property
    def artifacts_folder(self) -> Path:
        """Checkpoints and architectures, named by sha256."""
        return self.data_home / "artifacts"
