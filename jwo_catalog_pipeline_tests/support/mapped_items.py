"""Mapped items that break no rule, and may be changed to break one."""

import numpy as np
import pandas as pd

from jwo_catalog_pipeline.catalog.rules.rules import ITEM_FIELDS

CODE, KIND = "external_product_id", "external_product_id_type"


def items(*changes: dict[str, str | None]) -> pd.DataFrame:
    """Sound rows of different SKUs, with these changes."""
    sound: dict[str, str | None] = dict.fromkeys([*ITEM_FIELDS, "mapping_errors"])
    sound |= {CODE: "4006381333931", KIND: "EAN", "item_name": "Pen", "store_id": "S1", "standard_price": "1.50"}
    rows = [sound | {"item_sku": f"A{number}"} | change for number, change in enumerate(changes)]
    frame = pd.DataFrame(rows, columns=list(sound), dtype="str")
    frame.insert(0, "source_row", np.arange(1, len(frame) + 1, dtype="int64"))
    return frame
