"""`python -m workers.pools.fate COMMAND ...`: run a command that is told to end when its parent has died.

Linux sends the signal itself, so that not even a parent's kill -9 leaves a worker, or half a cluster, behind.
"""

import ctypes
import os
import signal
import sys

# From <sys/prctl.h>.
PR_SET_PDEATHSIG = 1


def sharing_fate(*command: str) -> list[str]:
    """Return the command line that runs `command` for as long as this process lives."""
    return [sys.executable, "-m", "workers.pools.fate", str(os.getpid()), *command]


def main() -> None:
    """Become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # It may have died before it could be asked for.
    if os.getppid() == parent:
        os.execv(command[0], command)


if __name__ == "__main__":
    main()
