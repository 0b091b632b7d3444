"""The two-convolution network, with one, three and four convolutions beside it.

Convolution, pooling, normalisation, activation; the same once more; global average pooling and a dense
layer. The canonical one has 32 and 64 channels and a hidden dense layer of 256: 38 thousand parameters that
reach 99.2 % on MNIST.
"""

from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

FAMILY = Family(
    name="two_conv",
    summary="One to four plain convolutions with pooling, then global average pooling and a dense layer",
    source="the two-convolution networks of the 2conv articles",
    space=SearchSpace.from_dict(
        {
            "depth": [1, 2, 3, 4],
            "stage": {
                "width": ["x1", "x1.5", "x2"],
                "downsample": ["none", "max", "avg", "stride"],
                "branch": {"kernel": [3, 5, 7]},
            },
            "stage1": {"width": [8, 16, 24, 32, 48, 64], "downsample": ["max", "avg", "stride"]},
            "head": {"dense_layers": [0, 1], "dense_width": [32, 64, 128, 256]},
        }
    ),
)
