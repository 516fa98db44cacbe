"""Chromium as the tests drive it, by its DevTools protocol over a pipe: with no network, by the standard library."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CONTRAST = Path(__file__).with_name("contrast.js")
"""What finds the texts of a page that are hard to read."""
PATIENCE = 120.0
"""Seconds that an answer may take on a busy machine."""


class Browser:
    """A page in a browser.

    Attributes:
        said: what was written to the console, and the errors that nothing caught.
    """

    def __init__(self, process: subprocess.Popen[bytes], to: int, back: int) -> None:
        self.said: list[str] = []
        self._process, self._to, self._back = process, to, back
        self._number, self._rest, self._session = 0, b"", ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Have the browser do something, and return its answer."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._number, "method": method, "params": params} | session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._heard(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return dict(answer["result"])

    def open(self, page: str, width: int = 1200, *, height: int = 900, dark: bool = False, media: str = "") -> None:
        """Open a page at a width in CSS pixels, in one of the two colour schemes, and wait until it is loaded."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.call("Page.navigate", url=page)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of an expression of JavaScript on the page; a promise is waited for."""
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression of JavaScript is true."""
        self.until(lambda: self.run(f"!!({script})"), script)

    def until(self, there: Callable[[], Any], what: str = "what was waited for") -> None:
        """Wait until something is there."""
        end = time.monotonic() + PATIENCE
        while not there():
            assert time.monotonic() < end, f"never came: {what}"
            time.sleep(0.05)

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag the mouse over an element between two places, each as shares of its width and height."""
        self.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        box = self.run(f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()")
        for kind, share in [
            ("Moved", 0.0),
            ("Pressed", 0.0),
            ("Moved", 0.4),
            ("Moved", 0.8),
            ("Moved", 1.0),
            ("Released", 1.0),
        ]:
            x, y = (a + share * (b - a) for a, b in zip(start, end, strict=True))
            at = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
            button = {"button": "none" if kind == "Moved" and not share else "left", "buttons": int(share > 0)}
            self.call("Input.dispatchMouseEvent", type=f"mouse{kind}", clickCount=1, **at, **button)

    def screenshot(self, file: Path, *, whole: bool = True) -> None:
        """Write what is seen, or the whole page, as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(b64decode(shot["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._back], [], [], PATIENCE)[0], "the browser does not answer"
            more = os.read(self._back, 1 << 20)
            assert more, f"the browser has ended: {self._process.poll()}"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))

    def _heard(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Log.entryAdded":
            self.said.append(f"{params['entry']['level']}: {params['entry']['text']}")
        elif event.get("method") == "Runtime.consoleAPICalled":
            self.said.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"]))
        elif event.get("method") == "Runtime.exceptionThrown":
            self.said.append(json.dumps(params["exceptionDetails"].get("exception", params["exceptionDetails"])))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser whose profile is in `folder`, and whose downloads go to `folder / "downloads"`."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "this test needs Chromium: apt-get install chromium"
    (in_read, in_write), (out_read, out_write) = os.pipe(), os.pipe()

    # it reads what it is told from 3, and answers on 4
    words = ["bash", "-c", f'exec "$@" 3<&{in_read} 4>&{out_write}', "-", program]
    words += ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    words += [f"--user-data-dir={folder / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND"]
    silent = subprocess.DEVNULL
    process = subprocess.Popen(words, pass_fds=(in_read, out_write), stdout=silent, stderr=silent)
    os.close(in_read)
    os.close(out_write)
    try:
        driven = Browser(process, in_write, out_read)
        downloads = {"behavior": "allow", "downloadPath": str(folder / "downloads")}
        driven.call("Page.setDownloadBehavior", **downloads)
        yield driven
    finally:
        process.terminate()
        process.wait(30)
        os.close(in_write)
        os.close(out_read)
