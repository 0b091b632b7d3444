"""What a trial that changes hands says of itself, kept as its reason."""

GIVEN_BACK = "given back by its worker"
STARTED_AGAIN = "started again "
RESUMED = "resumed from epoch "


def taken_over(reason: str | None) -> str:
    """Return what a trial says whose next attempt begins; `reason` is what it said before."""
    how = "after its worker gave it back" if reason == GIVEN_BACK else "after a lost worker"
    return STARTED_AGAIN + how


def resumed(reason: str | None, epoch: int) -> str:
    """Return what a trial says whose attempt went on behind an epoch.

    Example:
        >>> resumed(taken_over(None), 9)
        'resumed from epoch 9 after a lost worker'
    """
    before = (reason or taken_over(None)).removeprefix(STARTED_AGAIN)
    # Told again by a worker that missed the answer.
    return f"{RESUMED}{epoch} {before.removeprefix(f'{RESUMED}{epoch} ')}"


def ended(before: str | None, reason: str | None) -> str | None:
    """Return what a trial says at its end: why it ended, and that its last attempt was not its first."""
    is_told = before is not None and before.startswith((STARTED_AGAIN, RESUMED))
    return "; ".join(part for part in (reason, before if is_told else None) if part) or None
