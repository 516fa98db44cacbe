"""The process that a peer runs in: JSON lines in, JSON lines out. Needs the standard library only."""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from dataclasses import asdict
from importlib import import_module
from typing import Any

from benching.cases import Case
from benching.protocol import Ready, Timed


def serve() -> None:
    """Answer one line for each line of standard input, until it ends.

    `{"do": "make", "module": …, "case": …, "examples": …, "options": …}` makes a peer; the name of
    one of its methods calls that. Whatever else writes to standard output is
    sent to standard error, so that the answers stand alone.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    peer: Any = None
    for line in sys.stdin:
        message: dict[str, Any] = json.loads(line)
        gc.collect()
        try:
            match message["do"]:
                case "make":
                    peer = None
                    module = import_module(f"benching.peers.{message['module']}")
                    peer = module.make(Case.from_json(message["case"]), message["examples"], **message["options"])
                    answer: Any = None
                case method:
                    answer = getattr(peer, method)()
            said = {"answer": asdict(answer) if isinstance(answer, Ready | Timed) else answer}
        except Exception as error:
            traceback.print_exc()
            said = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
