"""A headless Chromium that tests drive over a pipe, by the DevTools protocol: no driver and no port are needed."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
_END: Final = b"\0"
_ARGUMENTS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
)  # fmt: skip


def program() -> str | None:
    """The browser of this machine, None where there is none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Browser:
    """One page of a browser. Commands are sent in turn; events are read past."""

    def __init__(self, commands: IO[bytes], answers: IO[bytes]) -> None:
        self._commands, self._answers = commands, answers
        self._numbers = itertools.count(1)
        target = self._send("Target.createTarget", {"url": "about:blank"}, None)["targetId"]
        found = self._send("Target.attachToTarget", {"targetId": target, "flatten": True}, None)
        self._session: str = found["sessionId"]
        self.send("Page.enable")

    def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """The result of a command for the page."""
        return self._send(method, parameters, self._session)

    def _send(self, method: str, parameters: Mapping[str, object], session: str | None) -> dict[str, Any]:
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters}
        command |= {"sessionId": session} if session else {}
        self._commands.write(json.dumps(command).encode() + _END)
        self._commands.flush()
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self._answers.read(1)) != _END:
            assert byte, "the browser ended"
            text += byte
        answer: dict[str, Any] = json.loads(text)
        return answer

    def show(self, file: Path, width: int, *, dark: bool = False, media: str = "screen") -> None:
        """Load a file at a width, light or dark, as on a screen or on paper."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.send("Emulation.setEmulatedMedia", media=media, features=scheme)
        self.send("Page.navigate", url=file.as_uri())
        self.run("new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))")

    def run(self, script: str) -> Any:
        """The value of a script in the page, awaited where it is a promise."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self, *, whole: bool = True) -> bytes:
        """The page as PNG, whole or what is seen first."""
        found = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(found["data"])

    def paper(self) -> bytes:
        """The page as PDF."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True)["data"])


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser that ends with the block."""
    found = program()
    assert found, f"none of {', '.join(PROGRAMS)} is installed"
    read_commands, write_commands = os.pipe()
    read_answers, write_answers = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        script = f'exec "$@" 3<&{read_commands} 4>&{write_answers} 2>/dev/null'
        argv = ["bash", "-c", script, "bash", found, *_ARGUMENTS, f"--user-data-dir={profile}"]
        process = subprocess.Popen(argv, pass_fds=(read_commands, write_answers))
        os.close(read_commands)
        os.close(write_answers)
        try:
            with os.fdopen(write_commands, "wb") as commands, os.fdopen(read_answers, "rb") as answers:
                yield Browser(commands, answers)
        finally:
            process.terminate()
            process.wait(20)
