"""The order of work: tasks go out to workers that do one at a time, results come back in the order of the tasks.

A worker has one task, so that its death has one cause: the task is repeated, and the others never hear of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, Protocol, TypeAlias

from tollens.core.errors import Exit, TollensError
from tollens.core.work import R, T

AHEAD = 8  # tasks a worker taken and not yet answered for; one large matrix must not hold up the others
RETRIES = 2  # after the first try: a task that ended three workers would end the fourth


@dataclass(frozen=True, slots=True)
class Died:
    """The worker is gone, and `tries` of the task with it."""

    tries: int = 1


Outcome: TypeAlias = Callable[[], Any] | Died | None
"""What returns the result or raises what the task raised; None while the task runs."""


class Crew(Protocol):
    """Workers that do one task at a time."""

    together: bool
    """Whether the workers share one memory: what died in it is then repeated alone."""

    def size(self) -> int:
        """How many workers there are now."""

    def begin(self, function: Callable[[Any], Any], task: Any, /) -> Any:
        """Give the task to a worker that has none; a handle, or None if none is free."""

    def outcome(self, handle: Any, /) -> Outcome:
        """How far the task of this handle is."""

    def give_up(self, handle: Any, /) -> None:
        """Nobody waits for this task any more."""

    def wait(self) -> None:
        """Return when something may have changed, after a second at the latest."""


@dataclass(slots=True, eq=False)
class _Taken(Generic[T]):
    """A task on its way. `answer` gives its result when it is known."""

    task: T
    handle: Any = None
    deaths: int = 0
    answer: Callable[[], Any] | None = None


class Map:
    """The map over a crew. `repeated` counts the tasks that were begun again because their worker died."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self.repeated = 0

    def __call__(
        self, function: Callable[[T], R], tasks: Iterable[T], /, lost: Callable[[T], R] | None = None
    ) -> Iterator[R]:
        """The results in the order of the tasks. At most `AHEAD` tasks a worker are taken ahead of the reader.

        Raises: what a task raised; `worker_died` for a task that no worker survives, unless `lost` answers for it.
        """
        crew, source = self._crew, iter(tasks)
        taken: deque[_Taken[T]] = deque()
        try:
            while True:
                room = max(1, AHEAD * crew.size()) - len(taken)
                taken.extend(_Taken(task) for task in islice(source, max(0, room)))
                if not taken:
                    return
                self._collect(taken, lost)
                self._hand_out(function, taken)
                if taken[0].answer is None:
                    crew.wait()
                else:
                    yield taken.popleft().answer()  # type: ignore[misc]
        finally:
            for one in taken:
                if one.handle is not None:
                    crew.give_up(one.handle)

    def _collect(self, taken: Iterable[_Taken[T]], lost: Callable[[T], R] | None) -> None:
        for one in taken:
            if one.handle is None or (found := self._crew.outcome(one.handle)) is None:
                continue
            one.handle = None
            if not isinstance(found, Died):
                one.answer = found
                continue
            first, one.deaths = one.deaths == 0, one.deaths + found.tries
            if one.deaths <= RETRIES:
                self.repeated += first
            else:
                one.answer = _lost(one.task, lost)

    def _hand_out(self, function: Callable[[T], R], taken: Iterable[_Taken[T]]) -> None:
        unanswered = [one for one in taken if one.answer is None]
        waiting = [one for one in unanswered if one.handle is None]
        if self._crew.together and any(one.deaths for one in unanswered):
            alone = len(waiting) == len(unanswered)
            waiting = [one for one in waiting if one.deaths][:alone]
        for one in waiting:
            one.handle = self._crew.begin(function, one.task)
            if one.handle is None:
                return


def _lost(task: T, lost: Callable[[T], R] | None) -> Callable[[], R]:
    def answer() -> R:
        if lost is None:
            raise died()
        return lost(task)

    return answer


def died() -> TollensError:
    return TollensError(
        "worker_died",
        "a task that no worker survives",
        expected="an answer to every task",
        found=f"{RETRIES + 1} workers that ended in it, most often for lack of memory",
        fix="Give each worker more memory, or run fewer beside each other.",
        exit_code=Exit.INTERNAL,
    )
