"""Workers placed on the machines of a Ray cluster; only `ray.py` imports Ray."""
