"""Exact rewrites of a trained network, for export and for latency; numpy only."""

from search_spaces.folding.fold import MERGES, fold_graph

__all__ = ["MERGES", "fold_graph"]
