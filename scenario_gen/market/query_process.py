"""The process that answers a query: DuckDB, which can read files below two folders and do nothing else.

Its current folder is the spec's. Before DuckDB sees the query it is told: files below that folder alone (links and
``..`` lead nowhere), no network, no extensions, no Python objects, no files to spill to. Imports little, as every query
starts it anew.
"""

from __future__ import annotations

import io
import json
import re
import sys
import warnings
from typing import Any

from scenario_gen.errors import DataError

MAX_ROWS = 10_000_000  # as of files
WHERE = "the query"
REFUSED = 3  # exit code; the last line of stderr is the refusal as JSON
BATCH = 100_000  # rows
_PLACE = re.compile(r"LINE (\d+): (.*)\n( *)\^")  # how DuckDB points at a place of the query


def answer(sql: str, folders: list[str]) -> bytes:
    """Ask twice; return the answer as an Arrow stream.

    Args:
        sql: one SELECT.
        folders: whose files may be read; absolute.

    Raises:
        DataError: the query cannot be asked, or its answers differ.
    """
    import pyarrow as pa

    first, second = (_asked(sql, folders) for _ in range(2))
    if not _comparable(first).equals(_comparable(second)):
        raise DataError(
            f"{WHERE} answers otherwise when it is asked again",
            expected="the same bars in the same order each time",
            fix="ORDER BY the stamps, and use no random numbers and no sample",
        )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, first.schema) as writer:
        writer.write_table(first)
    return sink.getvalue()


def _asked(sql: str, folders: list[str]) -> Any:
    """Return the answer as an Arrow table."""
    import duckdb
    import pyarrow as pa

    try:
        connection = _connection(folders)
        statements = connection.extract_statements(sql)
        kinds = [str(statement.type).rpartition(".")[2] for statement in statements]
        if kinds != ["SELECT"]:
            came = ", ".join(kinds[:5]) or "no statement"
            raise DataError(f"data.sql holds {came}", expected="one SELECT", fix="leave the rest out")
        with warnings.catch_warnings():  # DuckDB would rather be asked by a relation, which knows no places in a query
            warnings.simplefilter("ignore", UserWarning)
            reader = connection.execute(statements[0]).to_arrow_reader(BATCH)
        batches, rows = [], 0
        for batch in reader:
            batches.append(batch)
            rows += batch.num_rows
            if rows > MAX_ROWS:
                raise DataError(f"{WHERE} has more than {MAX_ROWS:,} rows", expected="bars", fix="ask for fewer")
    except (duckdb.Error, OSError) as error:  # what breaks in the middle of an answer comes through Arrow
        raise _in_words(str(error)) from error
    return pa.Table.from_batches(batches, reader.schema)


def _connection(folders: list[str]) -> Any:
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
        "temp_directory": "",
    }
    connection = duckdb.connect(":memory:", config=config)
    listed = ", ".join("'" + folder.replace("'", "''").rstrip("/") + "/'" for folder in folders)
    connection.execute(f"SET allowed_directories=[{listed}]")
    connection.execute("SET enable_external_access=false")
    connection.execute("SET lock_configuration=true")
    return connection


def _comparable(table: Any) -> Any:
    """Return a table in which values that are no number equal one another."""
    import pyarrow as pa
    from pyarrow import compute

    for place, column in enumerate(table.columns):
        if pa.types.is_floating(column.type):
            nothing = pa.scalar(None, column.type)
            table = table.set_column(
                place, table.field(place), compute.if_else(compute.is_nan(column), nothing, column)
            )
    return table


def _in_words(error: str) -> DataError:
    """Say what DuckDB says, with the place in the query."""
    kind, _, rest = error.partition(" Error: ")
    said = rest if rest else kind
    where = ""
    if match := _PLACE.search(said):
        line, text, blanks = int(match[1]), match[2], len(match[3])
        at = blanks - len(f"LINE {line}: ")
        column = "" if text.startswith("...") else f", column {at + 1}"
        where = f" (line {line}{column}: {text[at:][:30]!r})"
        said = said[: match.start()]
    problem = " ".join(said.split())[:300]
    if "disabled by configuration" in said:
        return DataError(
            f"{WHERE} may not open that: {problem}{where}",
            expected="files below the spec's folder, and no network",
            fix="move them there, or name one more folder: data.folder",
        )
    return DataError(
        f"{WHERE} cannot be answered: {problem}{where}", expected="a SELECT that DuckDB knows", fix="mend data.sql"
    )


def _main() -> int:
    asked = json.load(sys.stdin)
    try:
        sys.stdout.buffer.write(answer(asked["sql"], asked["folders"]))
    except DataError as error:
        print(json.dumps({"problem": error.problem, "expected": error.expected, "fix": error.fix}), file=sys.stderr)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(_main())
