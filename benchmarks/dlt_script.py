"""The same upload with dlt, whose custom destination gets 10,000 items at a time; mapped by the plain script."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator

import dlt

from benchmarks.plain_script import BATCH, Sender, items_of

ADDED = ("_dlt_load_id", "_dlt_id")  # columns of dlt's own


def main(path: str) -> None:
    """Send an export."""
    sender = Sender()

    @dlt.destination(batch_size=BATCH, loader_file_format="typed-jsonl", max_parallel_load_jobs=1, name="jwo")
    def jwo(items: list[dict[str, str]], table: object) -> None:
        sender.send([{key: value for key, value in item.items() if key not in ADDED} for item in items])

    @dlt.resource(name="items", max_table_nesting=0)
    def items() -> Iterator[list[dict[str, str]]]:
        page = []
        for item in items_of(path):
            page.append(item)
            if len(page) == BATCH:
                yield page
                page = []
        if page:
            yield page

    with tempfile.TemporaryDirectory() as folder:
        dlt.pipeline("catalog", destination=jwo, pipelines_dir=folder).run(items())


if __name__ == "__main__":
    began = time.time()
    main(sys.argv[1])
    print(json.dumps({"began": began, "ended": time.time()}))
