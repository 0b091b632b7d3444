"""The files a finished trial leaves: weights as safetensors, the architecture as JSON."""

import json

from safetensors.torch import load, save
from torch import nn

from search_spaces import Architecture
from search_spaces.modules import build
from search_spaces.modules.network import Network


def weights_file(network: nn.Module, architecture: Architecture) -> bytes:
    """Return weights and buffers as a safetensors file that names its architecture's hash."""
    tensors = {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    return save(tensors, metadata={"architecture": architecture.hash})


def architecture_file(architecture: Architecture) -> bytes:
    """Return the architecture as readable JSON."""
    return json.dumps(architecture.to_dict(), indent=2).encode() + b"\n"


def read_network(architecture: bytes, weights: bytes) -> Network:
    """Return the network of the two files, ready for inference."""
    network = build(Architecture.from_dict(json.loads(architecture)))
    network.load_state_dict(load(weights))
    network.eval()
    return network
