"""A trained network with fewer layers that computes the same."""

import torch

from search_spaces.folding import fold_graph
from search_spaces.modules.network import Network


@torch.no_grad()
def fold(network: Network, *, merge: str = "cheaper", concat: bool = False, dense: bool = False) -> Network:
    """Return a new network for inference, in evaluation mode, on the same device; the other stays as it is.

    For the choices see `search_spaces.folding.fold_graph`.
    """
    state = {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}
    graph, folded_state = fold_graph(network.graph, state, merge=merge, concat=concat, dense=dense)
    # The layers' own first weights are thrown away; drawing them must not move the global generator.
    with torch.random.fork_rng(devices=[]):
        folded = Network(graph)
    folded.load_state_dict({name: torch.from_numpy(value) for name, value in folded_state.items()})
    device = next(network.parameters()).device
    return folded.to(device).eval()
