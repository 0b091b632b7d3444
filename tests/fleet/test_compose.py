"""The compose file holds together; no engine runs it here."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from names import KNOWN_VARIABLES
from sqlalchemy import make_url

from workers.cli import _checked, _parser

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("server", "worker", "worker-gpu")


def test_services_depend_on_healthy_services_that_exist() -> None:
    assert SERVICES.keys() == {"postgres", *OURS}
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[needed]
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in COMPOSE["volumes"]
        for secret in service.get("secrets", []):
            assert secret in COMPOSE["secrets"]


def test_images_are_pinned_and_stages_exist() -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    for service in SERVICES.values():
        assert re.search(r":\d+\.\d+", service["image"])
        if "build" in service:
            assert service["build"]["target"] in stages


def test_workers_hold_no_database_address_and_the_server_is_published_on_loopback_only() -> None:
    for name in ("worker", "worker-gpu"):
        assert not [key for key in SERVICES[name]["environment"] if "DATABASE" in key or "POSTGRES" in key]
        assert SERVICES[name]["secrets"] == ["worker_token"]
        assert "ports" not in SERVICES[name]
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["server"]["ports"])
    assert "ports" not in SERVICES["postgres"]


def test_no_secret_has_a_default() -> None:
    assert all(set(source) == {"file"} for source in COMPOSE["secrets"].values())
    assert "secrets/" in (ROOT / ".gitignore").read_text()
    given = {key: value for service in SERVICES.values() for key, value in service["environment"].items()}
    secret = {value for key, value in given.items() if "PASSWORD" in key or "TOKEN" in key}
    assert secret == {"/run/secrets/postgres_password"}
    assert make_url(given["NAS_DATABASE_URL"]).password is None


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", OURS)
def test_variables_are_settings(name: str) -> None:
    assert {key for key in SERVICES[name]["environment"] if key.startswith("NAS_")} <= KNOWN_VARIABLES


@pytest.mark.parametrize("name", ["worker", "worker-gpu"])
def test_workers_are_started_in_numbers_and_with_arguments_that_are_understood(name: str) -> None:
    program, *arguments = SERVICES[name]["command"]
    assert program == "nas-worker"
    assert _checked(_parser(), _parser().parse_args(arguments)).server == "http://server:8000"
    assert "replicas" in SERVICES[name]["deploy"]
    assert SERVICES[name]["profiles"]


def test_gpus_are_reserved_by_the_gpu_profile_alone() -> None:
    (device,) = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert SERVICES["worker-gpu"]["profiles"] == ["gpu"]
    assert SERVICES["worker-gpu"]["build"]["args"] == {"TORCH": "cuda"}
    assert "reservations" not in SERVICES["worker"]["deploy"]["resources"]
