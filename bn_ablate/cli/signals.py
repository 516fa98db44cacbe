"""Ctrl-C and SIGTERM: asked once, a run stops where nothing is lost by it; asked again, at once."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
RESUMES = "the same command resumes from there"
PATIENCE = 1.0
"""Seconds that a process which has nothing to store gets to end by itself, before it is ended."""


class Stopped(BaseException):
    """A signal, on its way up to where results are published."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signal.Signals(signum)

    @property
    def status(self) -> int:
        """The exit status that shells expect: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.signum

    def __str__(self) -> str:
        return f"{WORDS[self.signum]}; what is done is stored, and {RESUMES}"


def stop_at_once() -> None:
    """Let either signal raise `Stopped` wherever the main thread is."""
    for signum in SIGNALS:
        signal.signal(signum, _raise)


def leave(status: int) -> NoReturn:
    """End the process with `status`, without waiting for its threads where a signal has ended it.

    One of them may be in the compiler for minutes, for a program that nobody waits for any more, and Python would wait.
    """
    if status in {Stopped(signum).status for signum in SIGNALS}:
        sys.stdout.flush()
        os._exit(status)
    sys.exit(status)


class Watch:
    """What a run tells of itself, for whoever is to stop it.

    Attributes:
        unsaved: whether something has been trained since the last shard was stored, or is to be cleared up.
    """

    def __init__(self, unsaved: bool) -> None:
        self.unsaved = unsaved
        self.came: list[int] = []

    def __call__(self, *, unsaved: bool) -> None:
        """Say whether something is unsaved, where stopping stores it.

        Raises:
            Stopped: a signal has come.
        """
        self.unsaved = unsaved or bool(self.came)  # what is finished is about to be published
        if self.came:
            raise Stopped(self.came[0])


@contextmanager
def stopping_softly(unsaved: bool = False) -> Iterator[Watch]:
    """Within the block a first signal is noted, and a second one ends the process; to be used in the main thread.

    Yields what is to be called where stopping does no harm: it raises `Stopped` once a signal has come. The main thread
    may be in a compiled program or in the compiler, where Python handles no signal; so a thread of its own answers, and
    ends the process by itself where nothing is unsaved and the main thread does not.
    """
    watch = Watch(unsaved)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = {signum: signal.signal(signum, lambda number, frame: watch.came.append(number)) for signum in SIGNALS}
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    answering = threading.Thread(target=_answer, args=(reading, watch), daemon=True)
    answering.start()
    try:
        yield watch
    finally:
        signal.set_wakeup_fd(wakeup)
        os.close(writing)
        answering.join()
        os.close(reading)
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _answer(reading: int, watch: Watch) -> None:
    """Answer every signal whose number comes through a pipe, until the pipe is closed."""
    asked = 0
    while True:
        while not select.select([reading], [], [], PATIENCE if asked else None)[0]:
            if not watch.unsaved:
                _end(asked, "stopped where nothing was unsaved")
        number = os.read(reading, 1)
        if not number:
            return
        if number[0] not in SIGNALS:
            continue
        if asked:
            _end(number[0], "stopped at once; what was stored before stays")
        asked = number[0]
        os.write(2, b"\nstopping as soon as this stretch of training is done and stored; once more stops at once\n")


def _end(signum: int, said: str) -> NoReturn:
    """End the process as the signal would, from whatever thread."""
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[?25h")  # the progress bar has hidden the cursor
        sys.stdout.flush()
    os.write(2, f"\n{said}, and {RESUMES}\n".encode())
    os._exit(128 + signum)


def _raise(signum: int, frame: Any) -> None:
    raise Stopped(signum)
