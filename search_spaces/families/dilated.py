"""Dilated branches: one kernel at several dilations side by side sees several scales at the price of one."""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="dilated",
    summary="Two to four stages of dilated branches side by side, with a global view at choice",
    source="Yu, Koltun: Dilated convolutions, arXiv:1511.07122 (2016); Chen et al.: atrous spatial pyramids, "
    "arXiv:1706.05587 (2017)",
    space=SearchSpace.from_dict(
        {
            "depth": [2, 3, 4],
            "layouts": {
                "pair": [{"kernel": 3}, {"kernel": 3, "dilation": [2, 3, 4]}],
                "pyramid": [{"kernel": 3}, {"kernel": 3, "dilation": 2}, {"kernel": 3, "dilation": [3, 4]}],
                "spatial_pyramid": [
                    {"kernel": 1},
                    {"kernel": 3},
                    {"kernel": 3, "dilation": 2},
                    {"kernel": 3, "dilation": 4},
                ],
                "separable": [
                    {"operation": "depthwise_separable", "kernel": 3},
                    {"operation": "depthwise_separable", "kernel": 3, "dilation": [2, 3, 4]},
                ],
            },
            "stage": {
                "layout": ["pair", "pyramid", "spatial_pyramid", "separable"],
                "width": ["x1", "x1.5", "x2"],
                "fusion": ["concat", "concat_project", "add", "weighted"],
                "connection": ["none", "residual"],
                "self_attention": ["none", 4],
                "downsample": ["none", "max", "stride"],
            },
            "stage1": {
                "layout": ["pair", "pyramid"],
                "width": [8, 16, 24, 32, 48],
                "fusion": "concat",
                "connection": "none",
                "self_attention": "none",
                "downsample": ["max", "avg", "stride"],
            },
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
