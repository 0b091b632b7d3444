"""2conv with depthwise separable convolutions: a fraction of the parameters of the plain block."""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="two_conv_dw",
    summary="One to four 2conv blocks of depthwise separable convolutions",
    source="the 2conv articles; Howard et al.: MobileNets, arXiv:1704.04861 (2017); "
    "Wang, Liu, Foroosh: Factorized CNN, arXiv:1608.04337 (2017)",
    space=SearchSpace.from_dict(
        {
            "depth": [1, 2, 3, 4],
            "layouts": {
                "block": [
                    {"operation": "depthwise_separable", "kernel": 3, "multiplier": [1, 2, 4]},
                    {"operation": "depthwise_separable", "kernel": [5, 7], "multiplier": [1, 2]},
                ],
                "single": [
                    {
                        "operation": "depthwise_separable",
                        "kernel": [3, 5, 7],
                        "multiplier": [1, 2, 4],
                        "inner_activation": [False, True],
                    }
                ],
            },
            "stage": {
                "layout": ["block", "single"],
                "width": ["x1", "x1.5", "x2"],
                "fusion": ["concat", "add"],
                "downsample": ["none", "max", "stride"],
            },
            # A depthwise convolution of one input channel is one filter.
            "stage1": {
                "layout": "free",
                "branch": {"kernel": [3, 5]},
                "width": [8, 16, 24, 32, 48, 64],
                "downsample": ["max", "avg", "stride"],
            },
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
