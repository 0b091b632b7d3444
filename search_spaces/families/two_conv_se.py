"""2conv with attention over channels.

Squeeze-and-excitation stands behind the block, or the input decides how much of each branch goes on.
"""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="two_conv_se",
    summary="One to three 2conv blocks with squeeze-and-excitation or selective kernels",
    source="the 2conv articles; Hu, Shen, Sun: Squeeze-and-excitation, arXiv:1709.01507 (2018); "
    "Li, Wang, Hu, Yang: Selective kernel networks, arXiv:1903.06586 (2019)",
    space=SearchSpace.from_dict(
        {
            "depth": [1, 2, 3],
            "tied": ["attention"],
            "layouts": {"block": [{"kernel": 3}, {"kernel": [5, 7]}]},
            "stage": {
                "layout": "block",
                "width": ["x1", "x1.5", "x2"],
                "fusion": ["concat", "add", "selective"],
                "attention": [2, 4, 8, 16],
                "downsample": ["none", "max", "avg", "stride"],
            },
            "stage1": {"width": [8, 16, 24, 32, 48, 64], "downsample": ["max", "avg", "stride"]},
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
