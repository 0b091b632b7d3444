"""2conv with shortcuts, added as they are or by learnt weights.

They lead around one convolution, around two in series, or from the first convolution's input to the second
one's output across the pooling between them.
"""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="two_conv_residual",
    summary="Two to four convolutions or 2conv blocks with shortcuts around one or across two",
    source="the 2conv articles; He, Zhang, Ren, Sun: Deep residual learning, arXiv:1512.03385 (2016)",
    space=SearchSpace.from_dict(
        {
            "depth": [2, 3, 4],
            "layouts": {
                "single": [{"kernel": [3, 5]}],
                "series": [{"kernel": [3, 5], "repeat": 2}],
                "block": [{"kernel": 3}, {"kernel": [5, 7]}],
            },
            "stage": {
                "layout": ["single", "series", "block"],
                "width": ["x1", "x1.5", "x2"],
                "fusion": ["concat", "add"],
                "branch_activation": [False, True],
                "connection": ["residual", "across", "weighted"],
                "downsample": ["none", "max", "avg", "stride"],
            },
            "stage1": {
                "layout": "single",
                "width": [8, 16, 24, 32, 48, 64],
                "connection": "none",
                "downsample": ["max", "avg", "stride"],
            },
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
