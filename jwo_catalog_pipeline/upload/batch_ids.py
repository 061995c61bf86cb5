"""Ids of batches: `0001`, and for the halves of a refused one `0001.1` and `0001.2`."""

# Up to schema 2 a part had a number: that of the whole, and this times its place in the tree of halves (root 1, halves
# of n: 2n and 2n + 1).
FORMER_PARTS = 10_000


def whole_id(number: int) -> str:
    """The id of the batch that is so many-th in its plan, from 1; begins with 0 where a former part could be meant."""
    return f"{number:04}" if number < FORMER_PARTS else f"0{number}"


def former_id(number: int) -> str:
    """The id of a batch that had a number, up to schema 2: a part keeps its own."""
    return f"{number:04}"


def part_id(batch: str, part: int) -> str:
    """The id of a half of a refused batch, 1 or 2."""
    return f"{batch}.{part}"


def parent_of(batch: str) -> str:
    """The id of the batch that a part was cut out of; "" for a batch that is no part."""
    if "." not in batch and batch[0] != "0" and int(batch) >= FORMER_PARTS:
        half, whole = divmod(int(batch), FORMER_PARTS)
        return former_id(whole if half < 4 else half // 2 * FORMER_PARTS + whole)
    return batch.rpartition(".")[0]
