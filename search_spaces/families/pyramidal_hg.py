"""Pyramidal convolution with larger groups: the paper's PyConvHG, groups of 32 and 64.

Group counts are levels: a narrow stage has the largest number up to the level that its channels allow.
"""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="pyramidal_hg",
    summary="Two to four pyramidal stages in many groups, alone or inside a bottleneck",
    source="Duta, Liu, Zhu, Shao: Pyramidal Convolution, arXiv:2006.11538 (2020), PyConvHG",
    space=SearchSpace.from_dict(
        {
            "depth": [2, 3, 4],
            "tied": ["connection"],
            "layouts": {
                "pyramid": [
                    {
                        "operation": "pyramid",
                        "levels": [2, 3, 4],
                        "group_set": ["plain", "heavy", "heaviest"],
                        "split": ["equal", "half"],
                    }
                ],
                "narrowed": [
                    {
                        "operation": "pyramid",
                        "levels": [2, 3, 4],
                        "group_set": ["heavy", "heaviest"],
                        "bottleneck": 2,
                    }
                ],
            },
            "stage": {
                "layout": ["pyramid", "narrowed"],
                "width": ["x1", "x1.5", "x2"],
                "branch_activation": [False, True],
                "connection": ["none", "residual"],
                "downsample": ["none", "max", "stride"],
            },
            "stage1": {
                "layout": "free",
                "branch": {"kernel": [3, 5, 7]},
                "width": [32, 48, 64],
                "connection": "none",
                "downsample": ["max", "avg", "stride"],
            },
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
