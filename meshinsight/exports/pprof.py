"""pprof's profile.proto, gzipped, as `go tool pprof` reads it.

The messages are those of https://github.com/google/pprof/blob/main/proto/profile.proto, as far as they are needed.
Their classes are made here: no package has them, and modules that protoc generates fit few versions of protobuf.
"""

import gzip
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from profiler.symbols.stacks import SampledStacks, Stack

_PACKAGE: Final = "perftools.profiles"
_MESSAGES: Final[Mapping[str, Mapping[str, tuple[int, str]]]] = {
    "Profile": {
        "sample_type": (1, "repeated ValueType"),
        "sample": (2, "repeated Sample"),
        "mapping": (3, "repeated Mapping"),
        "location": (4, "repeated Location"),
        "function": (5, "repeated Function"),
        "string_table": (6, "repeated string"),
        "time_nanos": (9, "int64"),
        "period_type": (11, "ValueType"),
        "comment": (13, "repeated int64"),
    },
    "ValueType": {"type": (1, "int64"), "unit": (2, "int64")},
    "Sample": {"location_id": (1, "repeated uint64"), "value": (2, "repeated int64"), "label": (3, "repeated Label")},
    "Label": {"key": (1, "int64"), "str": (2, "int64")},
    "Mapping": {"id": (1, "uint64"), "filename": (5, "int64"), "has_functions": (7, "bool")},
    "Location": {"id": (1, "uint64"), "mapping_id": (2, "uint64"), "line": (4, "repeated Line")},
    "Line": {"function_id": (1, "uint64")},
    "Function": {"id": (1, "uint64"), "name": (2, "int64"), "system_name": (3, "int64"), "filename": (4, "int64")},
}
"""For each message the number and the type of its fields."""

_SCALARS: Final = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
    "bool": FieldDescriptorProto.TYPE_BOOL,
}
_VALUES: Final = {"cpu-clock": ("cpu", "nanoseconds"), "cycles": ("cycles", "count")}
"""What a sample's value is, by the event that was sampled."""


def pprof(found: Iterable[SampledStacks], created: datetime | None = None) -> bytes:
    """The file: labels are `cell`, `process` and `component`; the outermost frames are the first two of these."""
    writer = _Writer(_profile_class()())
    for cell in found:
        writer.add(cell)
    profile = writer.profile
    if created is not None:
        profile.time_nanos = int(created.astimezone(UTC).timestamp()) * 10**9
    return gzip.compress(profile.SerializeToString(), mtime=0)


class _Writer:
    """Adds stacks to a profile, each name, function and file once."""

    def __init__(self, profile: Any) -> None:
        self.profile = profile
        self._strings: dict[str, int] = {}
        self._locations: dict[tuple[str, str], int] = {}
        self._files: dict[str, int] = {}
        self._types: list[tuple[str, str]] = []
        self._string("")

    def add(self, cell: SampledStacks) -> None:
        """All stacks of one cell or sidecar."""
        place = self._value_type(_VALUES.get(cell.event, (cell.event, "count")))
        if cell.requests:
            self.profile.comment.append(self._string(f"{cell.name}: {cell.requests:.0f} requests"))
        for stack in cell.stacks:
            self._sample(cell, stack, place)

    def _value_type(self, kind: tuple[str, str]) -> int:
        if kind not in self._types:
            self._types.append(kind)
            for entry in (
                self.profile.sample_type.add(),
                *([self.profile.period_type] if len(self._types) == 1 else []),
            ):
                entry.type, entry.unit = map(self._string, kind)
            for sample in self.profile.sample:  # each has a value of every type
                sample.value.append(0)
        return self._types.index(kind)

    def _sample(self, cell: SampledStacks, stack: Stack, place: int) -> None:
        sample = self.profile.sample.add()
        frames = [*((name, "") for name in cell.outermost(stack)), *((frame, stack.file) for frame in stack.frames)]
        sample.location_id.extend(self._location(*frame) for frame in reversed(frames))
        sample.value.extend(round(stack.weight) if at == place else 0 for at in range(len(self._types)))
        for key, text in (("cell", cell.name), ("process", stack.process), ("component", stack.kind)):
            label = sample.label.add()
            label.key, label.str = self._string(key), self._string(text)

    def _location(self, name: str, file: str) -> int:
        if (name, file) not in self._locations:
            number = self._locations[name, file] = len(self._locations) + 1
            function = self.profile.function.add()
            function.id, function.name, function.filename = number, self._string(name), self._string(file)
            function.system_name = function.name
            location = self.profile.location.add()
            location.id, location.mapping_id = number, self._mapping(file)
            location.line.add().function_id = number
        return self._locations[name, file]

    def _mapping(self, file: str) -> int:
        if file not in self._files:
            self._files[file] = len(self._files) + 1
            mapping = self.profile.mapping.add()
            mapping.id, mapping.filename, mapping.has_functions = self._files[file], self._string(file), True
        return self._files[file]

    def _string(self, text: str) -> int:
        if text not in self._strings:
            self._strings[text] = len(self._strings)
            self.profile.string_table.append(text)
        return self._strings[text]


@cache
def _profile_class() -> type[Any]:
    file = FileDescriptorProto(name="profile.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            repeated, _, of = kind.rpartition(" ")
            entry = message.field.add(name=field, number=number)
            entry.label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
            entry.type = _SCALARS.get(of, FieldDescriptorProto.TYPE_MESSAGE)
            if of not in _SCALARS:
                entry.type_name = f".{_PACKAGE}.{of}"
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Profile"))
