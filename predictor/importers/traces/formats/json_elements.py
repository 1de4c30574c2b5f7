"""The elements of a JSON array, or of the array under a key, or of JSON lines, some at a time.

A trace file may be larger than memory, so it is cut into pieces of whole elements: quickly where all elements begin
alike, as programs write them, and where that guess fails by a JSON scanner, one by one.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from predictor.importers.streams import Source
from profiler.errors import UsageError
from profiler.text import error_line

CHUNK_BYTES: Final = 2**17
"""Small enough for a core's own cache: every byte is looked at several times."""
LARGEST_ELEMENT_BYTES: Final = 2**26
_SLOW_CHUNK_BYTES: Final = 2**14
_MOST_WRONG_CUTS: Final = 3
_LARGEST_FAST_BYTES: Final = 2**23
_HEAD_BYTES: Final = 2**14
_SPACE: Final = b" \t\r\n"


class ElementReader:
    """Reads the elements of a file as values of `kind`.

    `key` (or `one|another`) is that of the array where the file is an object; `mark_key` is the first or second key
    of each element as its usual writer has it, and only makes reading fast.
    """

    def __init__(self, source: Source, kind: Any, key: str, mark_key: str = "") -> None:
        self._source = source
        self._one: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)
        self._many: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[kind])
        self._key = re.compile(rb'\{\s*"(?:' + key.encode() + rb')"\s*:\s*\[')
        self._mark = b'"' + mark_key.encode() + b'"' if mark_key else b""
        self._buffer = b""
        self._ended = False
        self._passed = 0
        self._array = False
        self._keyed = False
        self._count = 0
        self._wrong_cuts = 0

    def __iter__(self) -> Iterator[list[Any]]:
        """All elements, some at a time. Raises `UsageError` for truncated text, garbage, elements of another kind."""
        if not self._skip(_SPACE + b"\xef\xbb\xbf"):
            raise UsageError(f"{self._source.name}: empty file; give one with traces in it")
        while self._skip(_SPACE):
            self._begin()
            while True:
                elements = self._fast() if self._can_be_fast() else None
                elements = self._slow() if elements is None else elements
                if elements is None:
                    break
                self._count += len(elements)
                yield elements
            self._end()

    def _can_be_fast(self) -> bool:
        return self._wrong_cuts < _MOST_WRONG_CUTS and (bool(self._mark) or not self._array)

    def _fill(self) -> bool:
        size = CHUNK_BYTES if self._can_be_fast() else _SLOW_CHUNK_BYTES
        data = b"" if self._ended else self._source.read(max(size, len(self._buffer)))
        self._ended = self._ended or not data
        self._buffer += data
        return bool(data)

    def _skip(self, unwanted: bytes) -> bool:
        """Pass over these characters; whether anything follows."""
        while True:
            kept = self._buffer.lstrip(unwanted)
            self._drop(len(self._buffer) - len(kept))
            if self._buffer or not self._fill():
                return bool(self._buffer)

    def _drop(self, count: int) -> None:
        if not count:
            return
        self._passed += count
        left = len(self._buffer) - count
        if left > 4 * CHUNK_BYTES:  # after a long element: what is not needed soon is not copied again and again
            self._source.unread(self._buffer[count + CHUNK_BYTES :])
            self._ended = False
            self._buffer = self._buffer[count : count + CHUNK_BYTES]
        else:
            self._buffer = self._buffer[count:]

    def _begin(self) -> None:
        """Go to the first element."""
        if self._buffer[:1] not in (b"{", b"["):
            raise self._wrong(f"not JSON: found {self._buffer[:12]!r}", "give a trace file")
        found = self._key.match(self._buffer[:_HEAD_BYTES])
        found = None if found and self._is_lines() else found
        self._keyed = found is not None
        self._array = self._keyed or self._buffer[:1] == b"["
        if self._array:
            self._drop(found.end() if found else 1)

    def _is_lines(self) -> bool:
        """Whether the first line is an element on its own."""
        line, end, _ = self._buffer.partition(b"\n")
        if not end:
            return False
        try:
            self._one.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return True

    def _end(self) -> None:
        """Pass over what follows the array."""
        if self._array and self._skip(b"]") and self._keyed:
            self._buffer = b'{"":0' + self._buffer
            while (end := self._element_end()) == 0:
                pass
            self._drop(end)

    def _fast(self) -> list[Any] | None:
        """Many elements at once; None where the place of the cut cannot be stated, or was not what it seemed."""
        cut = self._cut()
        while not cut and len(self._buffer) < _LARGEST_FAST_BYTES and self._fill():
            cut = self._cut()
        if not cut:
            return None
        try:
            if self._array:
                last = self._buffer.rfind(b"}", 0, cut) + 1
                elements = self._many.decode(b"".join((b"[", memoryview(self._buffer)[:last], b"]")))
            else:
                elements = self._one.decode_lines(self._buffer[:cut])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._wrong_cuts += 1
            return None
        self._drop(cut)
        self._skip(_SPACE + b",")
        return elements

    def _cut(self) -> int:
        """The end of the last element that seems whole: the brace before the last such key, or a line's end."""
        if not self._array:
            return self._buffer.rfind(b"\n") + 1
        start = self._buffer.rfind(b"{", 0, max(self._buffer.rfind(self._mark), 0))
        return start if start > 0 and self._buffer[max(start - 64, 0) : start].rstrip(_SPACE).endswith(b",") else 0

    def _slow(self) -> list[Any] | None:
        """The next element by a JSON scanner; None at the end of the array or the text."""
        while self._skip(_SPACE + b",") and self._buffer[:1] != b"]":
            end = self._element_end()
            if end:
                element = self._decoded(self._buffer[:end])
                self._drop(end)
                return [element]
        if self._array and not self._buffer:
            raise self._wrong("truncated JSON: ends inside the list of traces", "export it again")
        return None

    def _decoded(self, element: bytes) -> Any:
        try:
            return self._one.decode(element)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._wrong(f"element {self._count + 1}: {error_line(error)}", "correct it or remove it") from error

    def _element_end(self) -> int:
        """Where the JSON value at the start of the buffer ends; 0 after more was read."""
        if self._buffer[:1] not in (b"{", b"["):
            raise self._wrong(f"expected an object, found {self._buffer[:12]!r}", "give a trace file")
        window = _SLOW_CHUNK_BYTES
        while True:
            text = self._buffer[:window].decode("utf-8", "surrogateescape")
            try:
                end = json.JSONDecoder(strict=False).raw_decode(text)[1]
                return end if text.isascii() else len(text[:end].encode("utf-8", "surrogateescape"))
            except json.JSONDecodeError as error:
                if window < len(self._buffer):
                    window *= 4
                    continue
                self._more(error, len(text))
                return 0
            except (RecursionError, ValueError) as error:
                raise self._wrong(error_line(error), "give a trace file") from error

    def _more(self, error: json.JSONDecodeError, length: int) -> None:
        """Read on, as the element seems to. Raises `UsageError` where it is damaged, or the file ends within it."""
        hopeless = length - error.pos > 4 * CHUNK_BYTES and not error.msg.startswith("Unterminated")
        if hopeless or len(self._buffer) > LARGEST_ELEMENT_BYTES:
            raise self._wrong(f"damaged JSON ({error.msg})", "export it again") from error
        if not self._fill():
            if not self._array and self._count and b"\n" not in self._buffer.rstrip():
                raise self._wrong("the last line is incomplete", "copy the file when it is no longer being written, "
                                  "or remove that line") from error  # fmt: skip
            raise self._wrong(f"truncated or damaged JSON ({error.msg})", "export it again") from error

    def _wrong(self, problem: str, remedy: str) -> UsageError:
        return UsageError(f"{self._source.name}: after byte {self._passed}: {problem}; {remedy}")
