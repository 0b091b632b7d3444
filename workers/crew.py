"""Several loops of one process, each in a thread."""

import logging
import os
import threading
from collections.abc import Callable


def run_together(loop: Callable[[int], None], count: int, *, on_error: Callable[[], None]) -> None:
    """Run `loop(0)` to `loop(count - 1)` until all have ended; a single one runs in this thread.

    Args:
        loop: Told its number.
        count: How many.
        on_error: Called when a loop raises: it asks the others to end. The first error is raised again.
    """
    if count == 1:
        loop(0)
        return
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            loop(number)
        except BaseException as error:
            errors.append(error)
            on_error()

    # Daemons: a second signal ends the process without waiting for them.
    threads = [
        threading.Thread(target=run, args=(number,), name=f"candidate-{number + 1}", daemon=True)
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except SystemExit as ending:
        # Threads that train must not find the interpreter gone.
        logging.shutdown()
        os._exit(ending.code if isinstance(ending.code, int) else 1)
    if errors:
        raise errors[0]
