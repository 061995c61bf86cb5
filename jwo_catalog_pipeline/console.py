"""Tables in the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jwo_catalog_pipeline.wording import plural


def show_plan(console: Console, plan: dict[str, Any]) -> None:
    """What an upload would send, and why; `plan` as `Upload.plan` gives it."""
    after = f"what Amazon holds after upload {plan['compared_with']}" if plan["compared_with"] else "an empty catalog"
    console.print(f"[bold]Plan of upload {plan['upload']}[/bold], compared with {after}")
    counts = [{"kind": kind, "items": count} for kind, count in plan["counts"].items() if count]
    others = [{"kind": kind, "items": plan[kind]} for kind in ("quarantined", "excluded", "merged")]
    show_table("", [*counts, *others[:1], *(row for row in others[1:] if row["items"])], console=console)
    show_table("Changed fields in a sample of the updates, with an example", plan["changed_fields"], console=console)
    show_table("Why", plan["why"][:20], console=console)
    for sentence in plan["allowed"]:
        console.print(f"Allowed: {sentence}", markup=False)
    console.print(f"{plural(plan['requests'], 'request')} to Amazon")


def show_done(console: Console, done: dict[str, Any]) -> None:
    """What became of an upload; `done` as `Upload.apply` gives it."""
    outcomes = [{"outcome": name, "items": count} for name, count in done["items"].items()]
    show_table(f"Upload {done['upload']} is {done['state']}", outcomes, "There was nothing to send.", console=console)
    show_table("Not accepted", done["reasons"], console=console)
    if done["reasons"]:
        console.print("To get the rows to fix: jwo-catalog fix-list", highlight=False)


def show_table(
    title: str,
    rows: Sequence[dict[str, Any]],
    otherwise: str = "",
    console: Console | None = None,
    colours: Mapping[str, str] | None = None,
) -> None:
    """Rows as a table without its empty columns, or the sentence `otherwise` where there are none.

    `colours` gives the style of cells by their text.
    """
    console = console or Console(highlight=False)
    if not rows:
        if otherwise:
            console.print(otherwise, markup=False)
        return
    shown = [name for name in rows[0] if any(row[name] not in (None, "") for row in rows)]
    table = Table(title=title or None, title_justify="left")
    for name in shown:
        table.add_column(name, justify="right" if isinstance(rows[0][name], int) else "left", overflow="fold")
    for row in rows:
        cells = [_cell(row[name]) for name in shown]
        table.add_row(*(Text(cell, (colours or {}).get(cell, "")) for cell in cells))
    console.print(table)


def _cell(value: Any) -> str:
    """As text without control characters for the terminal."""
    if isinstance(value, int):
        return f"{value:,}"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str("" if value is None else value))


def counted(counts: dict[str, int]) -> str:
    """Counts by name in one line."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def brief(document: dict[str, Any] | None) -> str:
    """An item as it was sent, in a few words."""
    return "" if document is None else f"{document.get('item_name')}, {document.get('standard_price')}"
