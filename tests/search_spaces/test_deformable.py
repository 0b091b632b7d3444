"""Deformable convolution reads where its offsets say."""

import pytest
import torch

from search_spaces.modules.deformable import DeformableConvolutionBlock

WIDTH = 400


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_small_offsets_move_the_view_on_wide_maps_in_few_bits_too(dtype: torch.dtype) -> None:
    block = DeformableConvolutionBlock(1, 1, (1, 1), stride=1, groups=1)
    torch.nn.init.ones_(block.weight)
    columns = torch.arange(WIDTH, dtype=torch.float32)
    offsets = torch.zeros(1, 2, 1, WIDTH, dtype=dtype)
    offsets[:, 1] = 0.25
    seen = block(columns.reshape(1, 1, 1, WIDTH), offsets).flatten()
    assert torch.equal(seen[:-1], columns[:-1] + 0.25)
    # Past the edge lies zero.
    assert float(seen[-1].detach()) == 0.75 * (WIDTH - 1)
