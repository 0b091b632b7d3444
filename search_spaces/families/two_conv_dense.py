"""2conv-Dense: the input and every intermediate map go on side by side.

Inside a branch each convolution reads all maps before it; behind the stage stand its input and all of them.
A stage adds its width to what comes in, so widths are growth rates here.
"""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="two_conv_dense",
    summary="One to three 2conv blocks whose input and maps are all concatenated",
    source="the 2conv articles; Huang, Liu, van der Maaten, Weinberger: DenseNet, arXiv:1608.06993 (2017)",
    space=SearchSpace.from_dict(
        {
            "depth": [1, 2, 3],
            "layouts": {
                "block": [{"kernel": 3}, {"kernel": [5, 7]}],
                "series": [{"kernel": [3, 5], "repeat": 2}],
            },
            "stage": {
                "layout": ["block", "series"],
                "width": [8, 12, 16, 24, 32],
                "fusion": ["concat", "add"],
                "branch_activation": [False, True],
                "connection": "dense",
                "downsample": ["none", "max", "avg"],
            },
            "stage1": {"downsample": ["max", "avg"]},
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
