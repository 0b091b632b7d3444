"""The double block: two 2conv blocks one behind the other in each stage.

Each branch is two convolutions of its own kernel in series, so that a stage sees twice as far at two scales;
normalisation and activation stand between them or only behind the fusion.
"""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="two_conv_db",
    summary="One to three stages of two branches, each of two convolutions in series",
    source="the 2conv block articles, block doubled in depth",
    space=SearchSpace.from_dict(
        {
            "depth": [1, 2, 3],
            "tied": ["connection"],
            "layouts": {"double": [{"kernel": 3, "repeat": 2}, {"kernel": [5, 7], "repeat": 2}]},
            "stage": {
                "layout": "double",
                "width": ["x1", "x1.5", "x2"],
                "fusion": ["concat", "concat_project", "add"],
                "branch_activation": [False, True],
                "connection": ["none", "residual"],
                "downsample": ["none", "max", "avg", "stride"],
            },
            "stage1": {"width": [8, 16, 24, 32, 48], "downsample": ["max", "avg", "stride"]},
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
