"""Tables of pyarrow as one CSV file, table after table: for results that are too large to be held as rows."""

from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.csv

from meshinsight.reports.renderers.csv_document import harmless


class CsvTables:
    """A CSV file that tables of one schema are written to. No text in it is taken for a formula."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pyarrow.csv.CSVWriter(path, schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write_table(self, table: pa.Table) -> None:
        """Append the rows of a table."""
        for number, field in enumerate(table.schema):
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
                texts = [None if text is None else harmless(text) for text in table.column(number).to_pylist()]
                table = table.set_column(number, field, pa.array(texts, field.type))
        self._writer.write_table(table)
