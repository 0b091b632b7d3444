"""What a number that names a row may be: what the databases hold."""

MAX_ID = 2**63 - 1
