"""Writes a first mapping as a file, with what was found out and what is in doubt as comments.

Belongs here: the order of the file, its comments, and text as YAML.
Does not belong here: what the mapping says (see `draft.py`).
"""

from __future__ import annotations

from typing import Any

from jwo_catalog_pipeline.catalog.mapping.draft import Draft, Line
from jwo_catalog_pipeline.catalog.mapping.proposal import quoted
from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS
from jwo_catalog_pipeline.catalog.rules.store_rules import PLACEHOLDER


def as_yaml(draft: Draft) -> str:
    """The mapping file: every required field, the evidence as comments, what is in doubt marked NOT SURE."""
    lines = [
        f"# A first mapping for {_comment(draft.export)}. Correct what is marked NOT SURE, then look at what it does:",
        "#   jwo-catalog mapping review EXPORT --mapping THIS-FILE",
    ]
    if draft.system:
        preset = draft.system.preset
        lines.append(
            f"# The columns are those of {draft.system.title}, so its ready mapping is the base ({preset}.yaml)."
        )
    lines.append("version: 1")
    lines += [f"# {_comment(sentence)}" for sentence in draft.seen]
    lines += [f"# NOT SURE: {_comment(doubt)}" for doubt in draft.doubts]
    if draft.source:
        lines += ["source:", *(f"  {key}: {_flow(value)}" for key, value in draft.source.items())]
    if draft.where:
        lines.append("# Rows that do not meet every condition are no items: they are counted, shown and not sent.")
        lines.append("where:")
        for condition in draft.where:
            lines += [f"  # NOT SURE: {_comment(doubt)}" for doubt in condition.doubts]
            lines.append(f"  - {_flow({'expr': condition.expr, **condition.rest})}")
    lines += _store_lines(draft)
    lines.append("fields:")
    for name, description in ITEM_FIELDS.items():
        if name in draft.fields:
            lines += _field_lines(name, draft.fields[name])
        elif name in draft.missing:
            lines += [f"  # NOT SURE: no column looks like it. {description}", f"  {name}: {_flow(_MISSING)}"]
    if draft.additional_barcodes:
        lines.append("additional_barcodes:")
        lines += [f"  - {_flow(line.expr)}" for line in draft.additional_barcodes]
    for name in draft.more_barcodes:
        expression = _flow(f"restore_barcode({quoted(name)})")
        lines.append(
            f"# {_comment(name)} holds barcodes as well. If they are of the same item, and not of a case of it:"
        )
        lines.append(f"# additional_barcodes: [{_comment(expression)}]")
    if draft.unused:
        lines.append("# Not used: " + ", ".join(map(_comment, draft.unused)))
    return "\n".join(lines) + "\n"


_MISSING = "NULL"  # a mapping that loads, and quarantines every row until somebody names the column


def _store_lines(draft: Draft) -> list[str]:
    if draft.stores:
        lines = [
            "# NOT SURE: the columns name these stores. Write Amazon's id of each; remove what is no JWO store.",
            "stores:",
        ]
        for place, (location, overrides) in enumerate(draft.stores, 1):
            lines.append(f"  # {_comment(location.name)}")
            lines.append(f"  {PLACEHOLDER}-{place}: {_flow(overrides)}")
        return lines
    if "store_id" in draft.fields:
        return []
    return [
        "# NOT SURE: no column looks like a store. Every row is sold in each store that is listed here.",
        f"stores: [{PLACEHOLDER}]",
    ]


def _field_lines(name: str, line: Line) -> list[str]:
    comments = [f"  # {_comment(line.why)}"] if line.why else []
    comments += [f"  # NOT SURE: {_comment('; '.join(line.doubts))}"] if line.doubts else []
    value = _flow({"expr": line.expr, **line.rest}) if line.rest else _flow(line.expr)
    return [*comments, f"  {name}: {value}"]


def _flow(value: Any) -> str:
    """YAML on one line. Text is in quotes, so that nothing in it is special."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return str(value) if isinstance(value, int) else _scalar(value)


def _key(key: str) -> str:
    return key if key.isidentifier() else _scalar(key)


def _scalar(text: str) -> str:
    """Single quotes, in which only the quote itself is special; double ones where a character must be escaped."""
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    escaped = "".join(_escaped(character) for character in text)
    return f'"{escaped}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return f"\\U{ord(character):08x}" if character != "\t" else "\\t"


def _comment(text: str) -> str:
    """Text that stays on its line."""
    return "".join(character if character.isprintable() else " " for character in text)
