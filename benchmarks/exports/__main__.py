"""What an export keeps, and what it saves.

`families`: one trained network of every family on real 1-D, 2-D and 3-D data, exported in all formats, each
checked on the whole test part. Recordings of spoken digits (averaged over four samples: 2,048 values), their
spectrograms, and adrenal glands (the largest of each 2x2x2: 14x14x14). It may be stopped and started again:
it goes on behind the networks that FOLDER holds. `--save` writes the result file and exports nothing.

`search`: a study of MNIST within a folder. `front`: its front exported in full, with what 8 bits cost on the
test part. `latency`: every form of each exported network, timed on an undisturbed machine.

    python -m benchmarks.exports families DATA FOLDER [--only volumes] [--family xception] [--save]
    python -m benchmarks.exports search DATA FOLDER [--trials 14] [--epochs 3] [--examples 20000]
    python -m benchmarks.exports front FOLDER
    python -m benchmarks.exports latency FOLDER
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.exports import families, front
from benchmarks.exports.data import DATA


def main() -> None:
    """Run one part and write its results."""
    options = _options()
    parts: dict[str, Callable[[argparse.Namespace], None]] = {
        "families": families.run,
        "search": front.search,
        "front": front.export_front,
        "latency": front.latency,
    }
    parts[options.part](options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    every = parts.add_parser("families")
    every.add_argument("data", type=Path)
    every.add_argument("folder", type=Path)
    every.add_argument("--examples", type=int, default=1_000)
    every.add_argument("--epochs", type=int, default=9)
    every.add_argument("--only", choices=DATA, action="append", help="may be repeated")
    every.add_argument("--family", action="append", help="may be repeated")
    every.add_argument("--save", action="store_true")
    search = parts.add_parser("search")
    search.add_argument("data", type=Path)
    search.add_argument("folder", type=Path)
    search.add_argument("--trials", type=int, default=14)
    search.add_argument("--epochs", type=int, default=3)
    search.add_argument("--examples", type=int, default=20_000)
    for name in ("front", "latency"):
        parts.add_parser(name).add_argument("folder", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
