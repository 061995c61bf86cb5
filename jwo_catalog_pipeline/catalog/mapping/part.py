"""What every part of the mapping file has in common: unknown keys and empty values are errors.

Belongs here: the base of the parts, and their kinds of text.
Does not belong here: any key (see `model.py` and `language.py`).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jwo_catalog_pipeline.catalog.mapping.expressions import suggest
from jwo_catalog_pipeline.catalog.mapping.file import wrong

Text = Annotated[str, Field(min_length=1)]
# The default of what is not written. Pydantic does not validate it, so an empty value in the file is still an error.
NOTHING = ""


class Part(BaseModel):
    """Some keys of the file; others are an error that names the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, written: Any) -> Any:
        # Before extra="forbid" does: that names no key that is near, and reports a misspelt key as missing as well.
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in written if isinstance(written, dict) else ():
            if key not in known:
                remedy = suggest(key, known) or f"the known keys are {', '.join(known)}"
                raise wrong(f"the key {key!r} is not known", remedy, key, at_key=True)
        return written
