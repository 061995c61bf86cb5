"""The key `rules` of a mapping file: other levels for rules that Amazon does not force."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from jwo_catalog_pipeline.catalog.mapping.expressions import suggest
from jwo_catalog_pipeline.catalog.mapping.file import wrong
from jwo_catalog_pipeline.catalog.mapping.part import Text
from jwo_catalog_pipeline.catalog.rules.rulebook import rules
from jwo_catalog_pipeline.catalog.rules.rules import Level

LEVELS: tuple[Level, ...] = ("off", "warning", "error")
_FORCED = {rule.name: rule.forced for rule in rules(["any"])}
_FREE = [name for name, forced in _FORCED.items() if not forced]


def _known_levels(written: dict[str, str]) -> dict[str, str]:
    for name, level in written.items():
        if name not in _FORCED:
            near = suggest(name, _FORCED) or f"the rules that may be set are {', '.join(_FREE)}"
            raise wrong(f"there is no rule {name!r}", near, name, at_key=True)
        if _FORCED[name]:
            remedy = f"remove it, and correct the source or its mapping; what may be set are {', '.join(_FREE)}"
            raise wrong(f"Amazon forces the rule {name}, so it has no other level", remedy, name, at_key=True)
        if level not in LEVELS:
            raise wrong(f"{level!r} is no level", f"write one of {', '.join(LEVELS)}", name)
    return written


RuleLevels = Annotated[
    dict[str, Text],
    AfterValidator(_known_levels),
    Field(
        json_schema_extra={
            "propertyNames": {"enum": _FREE},
            # Where YAML takes a bare `off` for false, an editor sees that.
            "additionalProperties": {"enum": [*LEVELS, False]},
        }
    ),
]
