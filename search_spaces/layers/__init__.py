"""Primitive layers: the nodes of the graph that an architecture is lowered to."""
