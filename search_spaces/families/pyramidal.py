"""Pyramidal convolution: the larger the kernel, the more groups.

Levels of kernel 3, 5, 7 and 9 with 1, 4, 8 and 16 groups, concatenated. Four levels share the channels
equally; three have equal parts, or 1/4, 1/4 and 1/2 as in the authors' code; two have halves. The number of
levels is one choice a stage, as in the paper, where it falls with depth.
"""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="pyramidal",
    summary="Two to four stages of pyramidal convolutions: larger kernels in more groups",
    source="Duta, Liu, Zhu, Shao: Pyramidal Convolution, arXiv:2006.11538 (2020)",
    space=SearchSpace.from_dict(
        {
            "depth": [2, 3, 4],
            "tied": ["connection", "attention"],
            "layouts": {
                "level1": [{"kernel": 3}],
                "levels2": [{"kernel": 3}, {"kernel": 5, "groups": 4}],
                "levels3": [{"kernel": 3}, {"kernel": 5, "groups": 4}, {"kernel": 7, "groups": 8}],
                "levels3_half": [
                    {"kernel": 3, "share": 1},
                    {"kernel": 5, "groups": 4, "share": 1},
                    {"kernel": 7, "groups": 8, "share": 2},
                ],
                "levels4": [
                    {"kernel": 3},
                    {"kernel": 5, "groups": 4},
                    {"kernel": 7, "groups": 8},
                    {"kernel": 9, "groups": 16},
                ],
            },
            "stage": {
                "layout": ["level1", "levels2", "levels3", "levels3_half", "levels4"],
                "width": ["x1", "x1.5", "x2"],
                "fusion": ["concat", "concat_project"],
                "connection": ["none", "residual"],
                "attention": ["none", 4],
                "downsample": ["none", "max", "stride"],
            },
            "stage1": {
                "width": [8, 16, 24, 32, 48],
                "fusion": "concat",
                "connection": "none",
                "downsample": ["max", "avg", "stride"],
            },
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128]},
        }
    ),
)
