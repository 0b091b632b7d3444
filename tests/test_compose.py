"""The compose file holds together: there is no engine here to run it."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def test_services_depend_on_healthy_services_that_exist() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services = compose["services"]
    assert services.keys() == {"postgres", "server", "worker"}
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in services[needed]
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"]


def test_workers_hold_no_database_address_and_the_server_is_published_on_loopback_only() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert "NAS_DATABASE_URL" not in services["worker"]["environment"]
    assert all(port.startswith("127.0.0.1:") for port in services["server"]["ports"])


def test_every_copied_path_exists() -> None:
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            *sources, _ = line.split()[1:]
            assert all((ROOT / source).exists() for source in sources)
