"""Convolutions in whichever exact form trains fastest: found by measurement, on a GPU by a rule from one."""

from workers.training.convolutions.apply import fast_convolutions
from workers.training.convolutions.dense import dense_convolutions
from workers.training.convolutions.plans import PLANS, Plans

__all__ = ["PLANS", "Plans", "dense_convolutions", "fast_convolutions"]
