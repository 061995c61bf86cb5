"""Words for people, in messages, pages and alerts."""


def plural(number: int, noun: str) -> str:
    """A number and its noun: `1 row`, `2,000 rows`, `3 batches`."""
    ending = "" if number == 1 else "es" if noun.endswith(("ch", "sh", "s", "x")) else "s"
    return f"{number:,} {noun}{ending}"
