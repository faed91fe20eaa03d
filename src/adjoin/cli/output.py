"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import msgspec


def print_json(value: object) -> None:
    """One JSON value, indented, and nothing else."""
    print_line(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_line(text: str) -> None:
    sys.stdout.write(text + "\n")


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
    """One thing as JSON, or a member on each line."""
    if json:
        print_json(made)
        return
    width = max(map(len, made))
    for member, value in made.items():
        print_line(f"{member:<{width}} {value}")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
