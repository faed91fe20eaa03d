"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import contextlib
import json as json_text
import os
import sys
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from adjoin.odata.errors import Refusal


class Unprinted(Refusal):
    """What a command says could not be written to where its output goes, and `why`."""

    def __init__(self, why: str, message: str | None = None) -> None:
        super().__init__(message or f"What there is to say cannot be written: {why}.")
        self.why = why


def print_json(value: object) -> None:
    """One JSON value, indented, and nothing else."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        # JSON's own escapes; those that the stream has for what it lacks are none of them.
        text = json_text.dumps(msgspec.json.decode(text), indent=2)
    print_line(text)


def print_line(text: str) -> None:
    with _whole():
        sys.stdout.write(text + "\n")


def let_go() -> None:
    """Have all that was printed where it goes. Raises Unprinted, or BrokenPipeError where the reader is gone."""
    with _whole():
        sys.stdout.flush()


@contextlib.contextmanager
def _whole() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _give_up()
        if isinstance(error, BrokenPipeError):
            raise
        raise Unprinted(error.strerror or str(error)) from None


def _give_up() -> None:
    """Drop what could not be written: Python would try once more at its end, and say so in words of its own."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def print_table(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Rows under headings, each column as wide as it needs."""
    shown = [[_cell(row[column]) for column in columns] for row in rows]
    headings = [column.replace("_", " ").upper() for column in columns]
    widths = [max(len(line[at]) for line in [headings, *shown]) for at in range(len(columns))]
    for line in [headings, *shown]:
        print_line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_listed(columns: Sequence[str], rows: Sequence[Mapping[str, object]], json: bool) -> None:
    """Rows in full as JSON, or these columns of theirs."""
    if json:
        print_json(rows)
    else:
        print_table(columns, rows)


def print_made(made: Mapping[str, object], json: bool) -> None:
    """One thing that was made, as JSON or a member on each line. Raises Unprinted, which says that it was made."""
    try:
        if json:
            print_json(made)
        else:
            width = max(map(len, made))
            for member, value in made.items():
                print_line(f"{member:<{width}} {value}")
        let_go()
    except (Unprinted, BrokenPipeError) as error:
        why = error.why if isinstance(error, Unprinted) else str(error.strerror)
        raise Unprinted(
            why, f"It was made, but cannot be shown: {why}. A secret that it has is lost; remove it, and add it anew."
        ) from None


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
