"""Sending many runs: only those that are not there yet, several at a time, none recorded before it has arrived."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import NamedTuple

from bn_ablate.sinks.content import RunContent
from bn_ablate.sinks.record import SentRecord
from bn_ablate.sinks.session import RUNS_AT_ONCE, Session


class Transfer(NamedTuple):
    """The ids of the runs that were sent, and of those that were there already."""

    sent: set[str]
    unchanged: set[str]


def send_all(
    session: Session, record: SentRecord, contents: Iterable[RunContent], on_done: Callable[[int], None]
) -> Transfer:
    """Send those of `contents` that `record` does not hold; `on_done` is called with how many are done.

    Raises:
        SinkError: a run could not be sent; what did arrive is on record.
    """
    done = Transfer(set(), set())
    under_way: deque[tuple[RunContent, Future[str]]] = deque()

    def settle(most: int) -> None:
        """Wait until at most `most` runs are under way."""
        while len(under_way) > most:
            content, arrival = under_way.popleft()
            record.add(content.id, content.sha256, arrival.result())
            done.sent.add(content.id)
            on_done(len(done.sent) + len(done.unchanged))

    try:
        for content in contents:
            if record.holds(content.id, content.sha256) and session.keeps(record.folder(content.id)):
                done.unchanged.add(content.id)
                on_done(len(done.sent) + len(done.unchanged))
            else:
                settle(RUNS_AT_ONCE - 1)
                under_way.append((content, session.send(content)))
        settle(0)
    finally:
        for content, arrival in under_way:
            if arrival.exception() is None:
                record.add(content.id, content.sha256, arrival.result())
        record.save()
    return done
