"""Deformable convolutions behind plain ones: taps move where the input asks them to.

Images only; on signals and volumes a plain convolution takes a deformable one's place. They cost an offset
convolution each and read scattered pixels, so they stand behind the first down-sampling.
"""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="deformable",
    summary="Two to four stages, deformable from the second on",
    source="Dai et al.: Deformable convolutional networks, arXiv:1703.06211 (2017)",
    space=SearchSpace.from_dict(
        {
            "depth": [2, 3, 4],
            "layouts": {
                "single": [{"operation": "deformable", "kernel": [3, 5]}],
                "pair": [{"kernel": 3}, {"operation": "deformable", "kernel": [3, 5]}],
                "plain": [{"kernel": [3, 5]}],
            },
            "stage": {
                "layout": ["single", "pair", "plain"],
                "width": ["x1", "x1.5", "x2"],
                "fusion": ["concat", "add"],
                "downsample": ["none", "max", "stride"],
            },
            "stage1": {
                "layout": "plain",
                "width": [8, 16, 24, 32, 48],
                "downsample": ["max", "avg", "stride"],
            },
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
