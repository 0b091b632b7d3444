"""`python -m workers` is `nas-worker`."""

import os

# Read by OpenMP when torch is first imported: workers share cores, one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from workers.cli import main

main()
