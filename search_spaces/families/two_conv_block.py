"""The 2conv block: a 3x3 and a 5x5 or 7x7 convolution side by side, merged, then normalised.

The two branches are concatenated (each with half of the channels), concatenated at full width and projected
back by a 1x1 convolution, or added.
"""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="two_conv_block",
    summary="One to three blocks of a 3x3 beside a 5x5 or 7x7 convolution",
    source="the 2conv block article",
    space=SearchSpace.from_dict(
        {
            "depth": [1, 2, 3],
            "tied": ["connection"],
            "layouts": {"block": [{"kernel": 3}, {"kernel": [5, 7]}]},
            "stage": {
                "layout": "block",
                "width": ["x1", "x1.5", "x2"],
                "fusion": ["concat", "concat_project", "add"],
                "branch_width": ["split", "full"],
                "branch_activation": [False, True],
                "connection": ["none", "residual"],
                "downsample": ["none", "max", "avg", "stride"],
            },
            "stage1": {"width": [8, 16, 24, 32, 48, 64], "downsample": ["max", "avg", "stride"]},
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
