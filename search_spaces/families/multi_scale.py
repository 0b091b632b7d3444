"""The union of the shallow multi-scale families, and the default.

Each stage chooses how it looks at its input: one convolution; a small and a large kernel side by side;
pyramidal, dilated, depthwise-separable or asymmetric branches; an inception-like mix with a 1x1 branch, or
pooling beside a convolution; a bottleneck, a ShuffleNet unit, interleaved groups, or 3x3 convolutions stacked
in place of a larger one. Deformable and dense stages, which cost latency, are left to their own families.
Made for small devices: a narrow first stage, two that always shrink the map, widths that grow by factors
from there, at most one dense layer between the global average (or a small map) and the logits.
"""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

_LAYOUTS = {
    "pair": [{"kernel": 3, "groups": [1, 4]}, {"kernel": [5, 7], "groups": [1, 4]}],
    "pyramid2": [{"kernel": 3}, {"kernel": 5, "groups": 4}],
    "pyramid3": [{"kernel": 3}, {"kernel": 5, "groups": 4}, {"kernel": 7, "groups": 8, "share": 2}],
    "pyramid4": [
        {"kernel": 3},
        {"kernel": 5, "groups": 4},
        {"kernel": 7, "groups": 8},
        {"kernel": 9, "groups": 16},
    ],
    "dilated": [{"kernel": 3}, {"kernel": 3, "dilation": 2}, {"kernel": 3, "dilation": [3, 4]}],
    "separable": [
        {"operation": "depthwise_separable", "kernel": 3},
        {"operation": "depthwise_separable", "kernel": [5, 7]},
    ],
    "cross": [{"kernel": [3, 5, 7], "shape": "column"}, {"kernel": [3, 5, 7], "shape": "row"}],
    "inception": [{"kernel": 1}, {"kernel": 3}, {"kernel": [5, 7], "bottleneck": 2}],
    "pooled": [{"kernel": [3, 5]}, {"operation": "pool", "kernel": 3}],
    "bottleneck": [{"operation": "bottleneck", "kernel": [3, 5, 7], "groups": [1, 4]}],
    "shuffle": [{"operation": "shuffle_unit", "kernel": [3, 5], "groups": 4}],
    "igc": [{"operation": "igc", "kernel": [3, 5], "groups": [4, 8]}],
    "stacked": [{"kernel": 3}, {"operation": "stacked", "kernel": [5, 7]}],
}

FAMILY = Family(
    name="multi_scale",
    summary="Two to four stages, each seeing one to four kernel sizes at once: the union of the families",
    source="the 2conv articles; Duta et al., arXiv:2006.11538; Szegedy et al., arXiv:1409.4842; "
    "Chollet, arXiv:1610.02357; Chen et al., arXiv:1706.05587; Hu et al., arXiv:1709.01507; He et al., "
    "arXiv:1512.03385; Zhang et al., arXiv:1707.01083 and arXiv:1707.02725",
    space=SearchSpace.from_dict(
        {
            "depth": [2, 3, 4],
            "tied": ["activation", "connection", "attention"],
            "layouts": _LAYOUTS,
            "stage": {
                "layout": ["free", *_LAYOUTS],
                "width": ["x1", "x1.5", "x2"],
                "branch": {
                    "operation": ["conv", "depthwise_separable"],
                    "kernel": [3, 5, 7],
                    "shape": ["square", "column_row"],
                    "groups": [1, 4],
                },
                "fusion": ["concat", "concat_project", "add", "weighted"],
                "activation": ["relu", "silu"],
                "connection": ["none", "residual"],
                "attention": ["none", 4],
                "downsample": ["none", "max", "stride"],
            },
            # A depthwise convolution of one channel is one filter, and a 1x1 one sees nothing: not here.
            "stage1": {
                "layout": ["free", "pair", "pyramid3", "pyramid4", "dilated", "cross"],
                "branch": {"operation": "conv"},
                "width": [8, 16, 24, 32, 48],
                "fusion": "concat",
                "connection": "none",
                "attention": "none",
                "downsample": ["max", "avg", "stride"],
            },
            "stage2": {"downsample": ["max", "stride"]},
            "head": {
                "pool": ["avg", "flatten"],
                "largest_flatten": 64,
                "dense_layers": [0, 1],
                "dense_width": [32, 64, 128],
            },
        }
    ),
)
