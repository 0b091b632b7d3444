"""The Kubernetes example, read as the cluster would read it; no cluster runs it here."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from names import KNOWN_VARIABLES

from nas_service.app import create_app
from nas_service.errors import InvalidInput
from nas_service.settings import Settings
from nas_service.store.engine import make_engine
from workers.cli import _checked, _parser

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "kubernetes"
OBJECTS: list[dict[str, Any]] = [
    document for path in sorted(FOLDER.glob("*.yaml")) for document in yaml.safe_load_all(path.read_text())
]
KINDS = {
    "Namespace": "v1",
    "Secret": "v1",
    "PersistentVolumeClaim": "v1",
    "Service": "v1",
    "Deployment": "apps/v1",
    "Kustomization": "kustomize.config.k8s.io/v1beta1",
}
DEPLOYMENTS = {one["metadata"]["name"]: one for one in OBJECTS if one["kind"] == "Deployment"}
SECRET = next(one for one in OBJECTS if one["kind"] == "Secret")


def pod(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    return spec


def container(name: str) -> dict[str, Any]:
    (only,) = pod(name)["containers"]
    found: dict[str, Any] = only
    return found


each_deployment = pytest.mark.parametrize("name", ["nas-server", "nas-worker"])


def test_every_object_is_of_a_known_kind_and_named() -> None:
    for one in OBJECTS:
        assert KINDS[one["kind"]] == one["apiVersion"]
        assert one["kind"] == "Kustomization" or re.fullmatch(r"[a-z][a-z0-9-]*", one["metadata"]["name"])


def test_the_kustomization_holds_every_file_and_pins_every_image() -> None:
    kustomization = next(one for one in OBJECTS if one["kind"] == "Kustomization")
    others = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == others
    pinned = {image["name"]: image["newTag"] for image in kustomization["images"]}
    for name in DEPLOYMENTS:
        image, _, tag = container(name)["image"].rpartition(":")
        assert re.fullmatch(r"\d+\.\d+\.\d+", tag)
        assert pinned[image] == tag


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_puts_it_together() -> None:
    made = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER)], capture_output=True, text=True, check=False, timeout=120
    )
    assert made.returncode == 0, made.stderr
    objects = list(yaml.safe_load_all(made.stdout))
    assert sorted(one["kind"] for one in objects) == sorted(
        one["kind"] for one in OBJECTS if one["kind"] != "Kustomization"
    )
    assert {one["metadata"].get("namespace", "nas") for one in objects} == {"nas"}


@each_deployment
def test_selectors_find_their_pods(name: str) -> None:
    labels = DEPLOYMENTS[name]["spec"]["template"]["metadata"]["labels"]
    assert DEPLOYMENTS[name]["spec"]["selector"]["matchLabels"] == labels
    services = [one for one in OBJECTS if one["kind"] == "Service"]
    assert all(one["spec"]["selector"] == pod_labels("nas-server") for one in services)


def pod_labels(name: str) -> dict[str, str]:
    labels: dict[str, str] = DEPLOYMENTS[name]["spec"]["template"]["metadata"]["labels"]
    return labels


@each_deployment
def test_containers_can_do_little(name: str) -> None:
    assert pod(name)["securityContext"]["runAsNonRoot"] is True
    assert pod(name)["securityContext"]["runAsUser"] > 0
    assert pod(name)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod(name)["automountServiceAccountToken"] is False
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@each_deployment
def test_resources_are_bounded_and_mounts_have_volumes(name: str) -> None:
    assert container(name)["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in container(name)["resources"]["limits"]
    mounted = {mount["name"] for mount in container(name)["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod(name)["volumes"]}


@each_deployment
def test_variables_are_settings_and_secrets_exist(name: str) -> None:
    for variable in container(name)["env"]:
        if variable["name"].startswith("NAS_"):
            assert variable["name"] in KNOWN_VARIABLES
        if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
            assert reference["name"] == SECRET["metadata"]["name"]
            assert reference["key"] in SECRET["stringData"]


def test_the_token_is_a_file_and_its_secret_exists() -> None:
    volume = next(one for one in pod("nas-worker")["volumes"] if one["name"] == "token")
    assert volume["secret"]["secretName"] == SECRET["metadata"]["name"]
    (item,) = volume["secret"]["items"]
    assert item["key"] in SECRET["stringData"]
    mount = next(one for one in container("nas-worker")["volumeMounts"] if one["name"] == "token")
    assert f"--token-file={mount['mountPath']}/{item['path']}" in container("nas-worker")["command"]


def test_what_the_secret_holds_as_it_is_opens_nothing() -> None:
    values = SECRET["stringData"]
    with pytest.raises(InvalidInput):
        make_engine(values["database-url"])
    assert not values["worker-token"].startswith("nw_")


def test_the_workers_command_is_understood() -> None:
    program, *arguments = container("nas-worker")["command"]
    assert program == "nas-worker"
    options = _checked(_parser(), _parser().parse_args(arguments))
    service = next(one for one in OBJECTS if one["kind"] == "Service")
    assert options.server == f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"


def test_probes_ask_for_what_the_server_answers() -> None:
    paths = {getattr(route, "path", None) for route in create_app(Settings()).routes}
    known = paths | {"/healthz", "/readyz"} & set(create_app(Settings()).openapi()["paths"])
    ports = {port["name"]: port["containerPort"] for port in container("nas-server")["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container("nas-server")[probe]["httpGet"]
        assert asked["path"] in known
        assert asked["port"] in ports
    assert container("nas-server")["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_pods_have_time_to_end() -> None:
    delay = next(
        one["value"] for one in container("nas-server")["env"] if one["name"] == "NAS_SHUTDOWN_DELAY_S"
    )
    assert pod("nas-server")["terminationGracePeriodSeconds"] >= float(delay) + 10
    assert pod("nas-worker")["terminationGracePeriodSeconds"] >= 60
