"""A server keeps what it has out of the search for garbage."""

import gc

from nas_service import collecting


def test_what_is_there_once_a_server_has_read_ahead_is_walked_through_no_more() -> None:
    before = gc.get_threshold()
    kept = [[number] for number in range(1000)]
    try:
        collecting.settle()
        assert gc.get_freeze_count() > len(kept)
        assert not any(item is kept for item in gc.get_objects())
        assert gc.get_threshold()[0] > before[0]
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
