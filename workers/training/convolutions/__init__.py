"""Grouped convolutions in whichever exact form trains fastest here, found by measurement."""

from workers.training.convolutions.apply import fast_convolutions
from workers.training.convolutions.plans import PLANS, Plans

__all__ = ["PLANS", "Plans", "fast_convolutions"]
