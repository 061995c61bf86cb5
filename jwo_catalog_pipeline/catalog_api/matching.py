"""What a report says of each item that was sent."""

import pyarrow as pa

from jwo_catalog_pipeline.catalog_api.report import ACCEPTED, REJECTED, UNREPORTED, Entry, Report

_WORST_FIRST = {REJECTED: 0, UNREPORTED: 1, ACCEPTED: 2}
_SAID = ("outcome", "code", "message")


def match_outcomes(items: pa.Table, report: Report) -> pa.Table:
    """Give every item of a batch what the report says of it.

    Args:
        items: `store_id`, `item_sku`, each pair once, and any other columns, in the batch's order.
        report: an entry without a store speaks for the SKU in every store; one for an item not sent is left out.

    Returns:
        The items in their order with `outcome`, `code`, `message`. An item listed twice takes the worse outcome. Where
        a report lists only errors, what it does not list was accepted, unless it lists an item that was not sent.
    """
    if _is_in_order(items, report.outcomes):
        for name in _SAID:
            items = items.append_column(name, report.outcomes[name])
        return items
    keys = list(zip(items["store_id"].to_pylist(), items["item_sku"].to_pylist(), strict=True))
    entries: list[Entry] = list(zip(*(column.to_pylist() for column in report.outcomes.columns), strict=True))
    worst_last = sorted(entries, key=lambda entry: _WORST_FIRST[entry[2]])[::-1]  # what comes last is kept
    exact = {entry[:2]: entry for entry in worst_last if entry[0] is not None}
    by_sku = {entry[1]: entry for entry in worst_last if entry[0] is None}
    found = [_worse(exact.get(key), by_sku.get(key[1])) for key in keys]
    # An error about something that was not sent may be about any of these, under another name.
    strangers = report.others_succeeded and not (
        exact.keys() <= set(keys) and by_sku.keys() <= {sku for _, sku in keys}
    )
    others: Entry = (None, "", ACCEPTED, None, None)
    if strangers or not report.others_succeeded:
        reason = "the report names items that were not sent" if strangers else "the report does not mention the item"
        others = (None, "", UNREPORTED, None, reason)
    for place, name in enumerate(_SAID, start=2):
        values = [(entry or others)[place] for entry in found]
        items = items.append_column(name, pa.array(values, pa.large_string()))
    return items


def _is_in_order(items: pa.Table, outcomes: pa.Table) -> bool:
    """Whether a report says something of every item, in their order, and of nothing else."""
    names = ["store_id", "item_sku"]
    if len(items) != len(outcomes) or outcomes["store_id"].null_count:
        return False
    keys = items.select(names).cast(outcomes.select(names).schema)
    return keys.equals(outcomes.select(names)) and keys.group_by(names).aggregate([]).num_rows == len(items)


def _worse(exact: Entry | None, for_sku: Entry | None) -> Entry | None:
    if exact is None or for_sku is None:
        return exact or for_sku
    return for_sku if _WORST_FIRST[for_sku[2]] < _WORST_FIRST[exact[2]] else exact
