"""The only file that imports Ray: actors that keep workers alive, and where they are placed.

An actor is a thin guard around an ordinary worker process, which pulls trials through the ledger. No trial,
no result and no token ever passes through Ray, so that losing the whole cluster loses nothing.
"""

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any

import ray
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError, RayError, RpcError
from ray.experimental.internal_kv import _internal_kv_put
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nas_service.errors import AccessDenied, Unavailable
from nas_service.processes import stop
from workers.pools.node import SLOT_RESOURCE, Node, gpu_share
from workers.pools.placement import Member, Place, chosen_places
from workers.pools.versions import Versions, own_versions

log = logging.getLogger("nas.ray")
NAMESPACE = "nas"
VERSIONS_KEYS = (b"nas_python", b"nas_ray", b"nas_service")
# A worker that cannot even start is not started in a tight loop.
RESTART_DELAY_S = 2.0
WATCH_S = 0.2
ANSWER_S = 10


class SlotWorker:
    """The actor of one slot: holds one worker process, and dies when that does, so that Ray starts both anew.

    The worker registers under the slot's name first of all, which expires the lease of its predecessor.
    """

    def __init__(self, number: int) -> None:
        self._node = Node.from_environment()
        self._slot = self._node.worker_slot(number)
        self._is_draining = False
        self._node.run_folder.parent.joinpath("logs").mkdir(parents=True, exist_ok=True)
        # A worker whose actor died was told to end, and may be in its last epoch.
        stop([self._slot])
        if not self._node.leaving_path.exists():
            self._slot.start()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def pid(self) -> int | None:
        """Return the worker's process id, if it lives."""
        return self._slot.pid()

    def drain(self, within_s: float | None = None) -> None:
        """Let the worker finish its epoch and give its trial back, then end the actor for good.

        Args:
            within_s: Kill the worker after so long; None waits for as long as its epoch takes.
        """
        self._is_draining = True
        if within_s is not None:
            stop([self._slot], grace_s=within_s)
        self._slot.signal(signal.SIGTERM)
        while self._slot.is_alive():
            time.sleep(WATCH_S)
        ray.actor.exit_actor()  # type: ignore[no-untyped-call]

    def _watch(self) -> None:
        while self._slot.is_alive() or self._is_draining or self._node.leaving_path.exists():
            time.sleep(WATCH_S)
        time.sleep(RESTART_DELAY_S)
        if not self._is_draining:
            os._exit(1)


class RayPool:
    """Keeps a worker in each wanted slot of the cluster that this process is the driver of."""

    def __init__(self, address: str) -> None:
        ray.init(
            address=address,
            namespace=NAMESPACE,
            log_to_driver=False,
            configure_logging=False,
        )
        publish_versions(own_versions())
        self._actor = ray.remote(SlotWorker)
        self._placed: dict[str, tuple[Any, Place]] = {}
        self._drains: dict[str, ray.ObjectRef[Any]] = {}

    @property
    def workers(self) -> list[str]:
        """The names of the workers that are placed and not told to leave."""
        return sorted(self._placed.keys() - self._drains.keys())

    def members(self) -> list[Member]:
        """Return the living nodes that have slots."""
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        return [
            Member(
                id=node["NodeID"],
                name=node["NodeName"],
                slots=int(node["Resources"].get(SLOT_RESOURCE, 0)),
                gpu_share=gpu_share(
                    node["Resources"].get(SLOT_RESOURCE, 0), node["Resources"].get("GPU", 0.0)
                ),
            )
            for node in nodes
            if node["Alive"]
        ]

    def reconcile(self, wanted: int | None) -> None:
        """Make the placed workers the wanted ones; called again and again, as nodes come and go."""
        members = self.members()
        self._forget_gone({member.id for member in members})
        places = chosen_places(members, wanted, self.workers)
        for name in self._placed.keys() - places.keys() - self._drains.keys():
            log.info("%s is no longer wanted: it finishes its epoch and leaves", name)
            self._drains[name] = self._placed[name][0].drain.remote()
        for name, place in places.items():
            if name not in self._placed:
                self._place(name, place)

    def drain_all(self, within_s: float) -> None:
        """Tell all workers to give their trials back and end, and wait for that."""
        drains: list[ray.ObjectRef[Any] | Any] = [
            actor.drain.remote(within_s) for actor, _ in self._placed.values()
        ]
        if drains:
            ray.wait(drains, num_returns=len(drains), timeout=within_s + 2.0)

    def close(self) -> None:
        """Leave the cluster."""
        ray.shutdown()

    def _place(self, name: str, place: Place) -> None:
        log.info("%s: placed", name)
        options = {
            "name": name,
            "namespace": NAMESPACE,
            "lifetime": "detached",
            "max_restarts": -1,
            "num_cpus": 0,
            "num_gpus": place.gpu_share,
            "resources": {SLOT_RESOURCE: 1},
            "scheduling_strategy": NodeAffinitySchedulingStrategy(place.node_id, soft=False),
        }
        self._placed[name] = (self._actor.options(**options).remote(place.number), place)

    def _forget_gone(self, living: set[str]) -> None:
        """Forget workers whose node is dead, or that have drained; Ray restarts all others itself."""
        drained = {name for name, ref in self._drains.items() if ray.wait([ref], timeout=0)[0]}
        for name, (actor, place) in list(self._placed.items()):
            if place.node_id not in living:
                log.warning("%s: its node is gone", name)
                # Else Ray would hold the name for a node that never comes back under its old id.
                with suppress(RayError, ValueError):
                    ray.kill(actor)
            if place.node_id not in living or name in drained:
                del self._placed[name]
                self._drains.pop(name, None)


def publish_versions(versions: Versions) -> None:
    """Let nodes that want to join this process's cluster read its versions."""
    for key, value in zip(VERSIONS_KEYS, _texts(versions), strict=True):
        _internal_kv_put(key, value.encode(), namespace=NAMESPACE.encode())


def read_versions(address: str) -> Versions:
    """Return the versions of the cluster at "host:port".

    Raises:
        AccessDenied: The token of this process's environment is missing or wrong.
        Unavailable: No head answers, or it is still starting.
    """
    try:
        head = GcsClient(address=address)
        namespace = NAMESPACE.encode()
        found = [head.internal_kv_get(key, namespace=namespace, timeout=ANSWER_S) for key in VERSIONS_KEYS]
    except AuthenticationError as error:
        raise AccessDenied(
            f"the head at {address} refuses the Ray token; give its NAS_HOME/ray-token by --ray-token-file"
        ) from error
    except RpcError as error:
        raise Unavailable(f"the head at {address} does not answer") from error
    if not all(found):
        raise Unavailable(f"the head at {address} is still starting, or none of `nas up --engine ray`")
    return Versions(*(value.decode() for value in found))


def _texts(versions: Versions) -> tuple[str, str, str]:
    return versions.python, versions.ray, versions.nas_service
