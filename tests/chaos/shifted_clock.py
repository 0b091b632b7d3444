"""Another time of day for one process: CHAOS_CLOCK_OFFSET_S says by how many seconds it is off."""

import datetime
import os
import sys
import time


def shift() -> None:
    """Let `time.time` and `datetime.now` of this process be off, in every module that is loaded."""
    offset = float(os.environ.get("CHAOS_CLOCK_OFFSET_S", "0"))
    if not offset:
        return
    true_time, true_datetime = time.time, datetime.datetime

    class Shifted(true_datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> true_datetime:
            return true_datetime.now(tz) + datetime.timedelta(seconds=offset)

    time.time = lambda: true_time() + offset
    for name, module in list(sys.modules.items()):
        is_ours = name.startswith(("nas_service", "workers", "stub_worker"))
        if is_ours and getattr(module, "datetime", None) is true_datetime:
            module.datetime = Shifted  # type: ignore[attr-defined]
