"""The sampler `auto`: many cheap candidates, ranked by what they are expected to add to the front."""

from workers.auto.sampler import AutoSampler
from workers.auto.task import Task

__all__ = ["AutoSampler", "Task"]
