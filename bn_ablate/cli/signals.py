"""Ctrl-C and SIGTERM: asked once, a run stops between two segments; asked again, at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


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
        return f"{WORDS[self.signum]}; what is done is stored, and the same command resumes from there"


def stop_at_once() -> None:
    """Let either signal raise `Stopped` wherever the main thread is."""
    for signum in SIGNALS:
        signal.signal(signum, _raise)


@contextmanager
def stopping_softly() -> Iterator[Callable[[], None]]:
    """Within the block a first signal is noted, and a second one ends the process; to be used in the main thread.

    Yields what is to be called where stopping does no harm: it raises `Stopped` once a signal has come. The main thread
    may be in a compiled program or in the compiler, where Python handles no signal; so a thread of its own answers.
    """
    came: list[int] = []
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = {signum: signal.signal(signum, lambda number, frame: came.append(number)) for signum in SIGNALS}
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watch = threading.Thread(target=_answer, args=(reading,), daemon=True)
    watch.start()

    def check() -> None:
        if came:
            raise Stopped(came[0])

    try:
        yield check
    finally:
        signal.set_wakeup_fd(wakeup)
        os.close(writing)
        watch.join()
        os.close(reading)
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _answer(reading: int) -> None:
    """Answer every signal whose number comes through a pipe, until the pipe is closed."""
    asked = False
    while number := os.read(reading, 1):
        if number[0] not in SIGNALS:
            continue
        if asked:
            if sys.stdout.isatty():
                sys.stdout.write("\x1b[?25h")  # the progress bar has hidden the cursor
                sys.stdout.flush()
            os.write(2, b"\nstopped at once; what was stored before stays, and the same command resumes from there\n")
            os._exit(128 + number[0])
        asked = True
        os.write(2, b"\nstopping as soon as this stretch of training is done and stored; once more stops at once\n")


def _raise(signum: int, frame: Any) -> None:
    raise Stopped(signum)
