"""A bar for a person who waits for a study, on stderr or in a notebook."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nas_service.views import StudyView


class StudyBar:
    """How far a study is: trained candidates of its budget; nothing where stderr is no terminal.

    Args:
        is_shown: False leaves everything out.
    """

    def __init__(self, *, is_shown: bool = True) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            refresh_per_second=2,
            disable=not (is_shown and (console.is_terminal or console.is_jupyter)),
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, study: StudyView) -> None:
        """Bring the bar to a study's state."""
        self._bar.update(
            self._task,
            description=_described(study),
            completed=study.trials.trained,
            total=study.budget_trials,
        )


def _described(study: StudyView) -> str:
    counts = {name: getattr(study.trials, name) for name in ("running", "pruned", "infeasible", "forbidden")}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or study.state
