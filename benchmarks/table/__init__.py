"""A tabular benchmark of the default space: what a search finds, without training anything."""
