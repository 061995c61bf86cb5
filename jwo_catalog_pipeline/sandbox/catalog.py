"""The catalog that the JWO service holds, and what uploads and archives do to it. No locks, no clock, no I/O."""

from collections.abc import Callable, Iterable

from jwo_catalog_pipeline.sandbox.rules import Item, Outcome, judge


class HeldCatalog:
    """Items by (store id, SKU), and the SKUs that are archived."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str], Item] = {}
        self._archived: set[str] = set()

    def items(self) -> list[Item]:
        """All items, by store and SKU."""
        return [self._items[key] for key in sorted(self._items)]

    def upload(self, items: Iterable[Item], rejects: Callable[[str], bool]) -> list[Outcome]:
        """Upsert what is valid; a SKU that was archived is active again. What fails leaves the earlier record in place.

        Args:
            items: the items of one request; of two with one key the later one fails.
            rejects: whether to reject a SKU on purpose.

        Returns:
            One outcome for each item, in order.
        """
        outcomes = []
        seen = set()
        for item in items:
            key = (item["store_id"], item["item_sku"])
            outcome = judge(item)
            if key in seen:
                outcome = Outcome(key[1], key[0], "DUPLICATE_ITEM", "store and SKU appear twice in the request")
            elif rejects(key[1]):
                outcome = Outcome(key[1], key[0], "REJECTED", "rejected on purpose by the sandbox")
            seen.add(key)
            if outcome.code is None:
                self._items[key] = item
                self._archived.discard(key[1])
            outcomes.append(outcome)
        return outcomes

    def archive(self, skus: Iterable[str], still_on_planogram: Iterable[str]) -> list[Outcome]:
        """Remove SKUs from every store.

        Args:
            skus: what to archive.
            still_on_planogram: SKUs that cannot be.

        Returns:
            One outcome for each SKU, in order.
        """
        stores_of: dict[str, list[str]] = {}
        for store, sku in self._items:
            stores_of.setdefault(sku, []).append(store)
        planogram = set(still_on_planogram)
        outcomes = []
        for sku in skus:
            if sku in self._archived:
                outcomes.append(Outcome(sku, None, "ALREADY_ARCHIVED", "the SKU is already archived"))
            elif sku not in stores_of:
                outcomes.append(Outcome(sku, None, "UNKNOWN_SKU", "the SKU is not in the catalog"))
            elif sku in planogram:
                outcomes.append(Outcome(sku, None, "ON_PLANOGRAM", "the SKU is still on a planogram"))
            else:
                for store in stores_of[sku]:
                    del self._items[store, sku]
                self._archived.add(sku)
                outcomes.append(Outcome(sku, None))
        return outcomes
