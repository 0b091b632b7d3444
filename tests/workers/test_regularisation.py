"""Dropout of the recipe: on while training, gone afterwards."""

import pytest
import torch
from torch import nn

from workers.training.regularisation import classifier_dropout


@torch.no_grad()
def test_inputs_of_the_last_dense_layer_are_dropped_while_training_only() -> None:
    network = nn.Sequential(nn.Linear(4, 1000), nn.ReLU(), nn.Linear(1000, 1, bias=False))
    nn.init.ones_(network[0].weight)
    nn.init.zeros_(network[0].bias)
    nn.init.ones_(network[2].weight)
    ones = torch.ones(1, 4)
    with classifier_dropout(network, 0.25, torch.Generator().manual_seed(0)):
        # What is kept is scaled up: 4 x 4/3 for each of about 750 of 1000 inputs.
        kept = float(network(ones)) * 0.75 / 4
        network.eval()
        assert float(network(ones)) == 4000
    assert kept == pytest.approx(round(kept), abs=1e-2)
    assert 700 < kept < 800
    network.train()
    assert float(network(ones)) == 4000


def test_a_network_without_a_dense_layer_cannot_drop_its_inputs() -> None:
    network = nn.Conv1d(1, 1, 1)
    with classifier_dropout(network, 0.0, torch.Generator()):
        pass
    with pytest.raises(ValueError, match="dense layer"), classifier_dropout(network, 0.5, torch.Generator()):
        pass
