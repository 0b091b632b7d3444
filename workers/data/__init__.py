"""Data as workers see it: split by seed, resident on the device."""
