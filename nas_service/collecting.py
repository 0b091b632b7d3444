"""When Python looks for garbage: seldom and briefly, so that no reader waits for it.

Reference counts free nearly everything at once; what is left are cycles. To find them Python walks through
all objects that it keeps, those of all libraries and all that is remembered of studies among them, and
nothing else runs meanwhile. Whatever is there once the server has read ahead stays for good, so it is left
out of these walks, and the walks over what came since begin later.
"""

import gc

# Objects more than there were at the last walk, before the youngest are walked through; Python's own is 700.
YOUNG = 20_000
# Walks before the next older ones are walked through as well.
OLDER = 20


def settle() -> None:
    """Leave all that is there now out of the search for garbage; for a process that serves until it ends."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, OLDER)
