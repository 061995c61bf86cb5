"""The review page and the comparison of two mappings: true, self-contained, and safe to open."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jwo_catalog_pipeline.catalog.mapping.diff import MappingDiff, as_diff_markdown
from jwo_catalog_pipeline.catalog.mapping.loaded import FieldMapping, load_mapping
from jwo_catalog_pipeline.catalog.mapping.review import Review, as_html, as_review_markdown
from jwo_catalog_pipeline.catalog.source.reading import read_source
from jwo_catalog_pipeline_tests.support.project import SAMPLE
from jwo_catalog_pipeline_tests.support.tables import diff_mappings, review_mapping

CHROMIUM = shutil.which("chromium")
# What other people's product names may hold: markup, formulas, right-to-left marks, signs of four bytes, template code.
HOSTILE = [
    "<script>document.title = 'hit'</script>",
    "<img src=https://example.com/x.png onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    '=HYPERLINK("https://example.com")',
    "\u202eמחיר\u202c | [link](javascript:alert(1)) `code`",
    "\U0001f600 \U00020000 {{ 7 * 7 }} {% raw %}",
    "</td></table></body>",
]


def mapping(tmp_path: Path, name: str = "mapping.yaml", **fields: str) -> FieldMapping:
    all_fields = {"item_sku": "sku", "external_product_id": "restore_barcode(code)", "item_name": "name"}
    all_fields |= {"store_id": "'S1'", "standard_price": "price(price)", **fields}
    path = tmp_path / name
    stores = all_fields.pop("stores", None)
    lines = ["version: 1", *([f"stores: {stores}"] if stores else []), "fields:"]
    lines += [f"  {field}: {json.dumps(value)}" for field, value in all_fields.items() if value]
    path.write_text("\n".join(lines), encoding="utf-8")
    return load_mapping(path)


def export(names: list[str]) -> pd.DataFrame:
    rows = len(names)
    columns = {
        "sku": [f"A{number}" for number in range(rows)],
        "code": ["36000291452"] * rows,
        "name": names,
        "price": ["1.5"] * (rows - 1) + ["1.299"],
        "colour": ["red"] * rows,
    }
    frame = pd.DataFrame(columns, dtype="str")
    frame.insert(0, "source_row", np.arange(1, rows + 1, dtype="int64"))
    return frame


def test_the_review_counts_and_shows_what_the_mapping_does(tmp_path: Path) -> None:
    source = export(["Pen", "Gum ®", "Tea"])
    source.loc[2, "name"] = None
    review = review_mapping(mapping(tmp_path), source, "export.csv")
    fields = {field.name: field for field in review.fields}
    assert (review.rows, review.valid, review.quarantined) == (3, 2, 1)
    assert review.unused_columns == ("colour",)
    code = fields["external_product_id"]
    assert (code.expression, code.columns) == ("restore_barcode(code)", ("code",))
    assert code.examples == (("36000291452", "036000291452"),)
    name = fields["item_name"]
    assert (round(name.fill_rate, 2), name.distinct) == (0.67, 2)
    assert {rule.name: rule.count for rule in name.rules} == {"item_name_required": 1, "item_name_ascii": 1}
    assert fields["standard_price"].examples[0] == ("1.5", "1.50")
    assert not fields["brand_name"].expression


def test_the_markdown_holds_the_same_figures_and_escapes(tmp_path: Path) -> None:
    text = as_review_markdown(review_mapping(mapping(tmp_path), export(HOSTILE), "export.csv"))
    assert "**7** mapped rows, **6** valid, **1** would be quarantined (14.29%)" in text
    assert "<script" not in text
    assert "<img" not in text
    assert "\\[link](" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; .ci/run installs it")
def test_the_page_opens_anywhere_and_runs_nothing(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    page_file = tmp_path / "review.html"
    page_file.write_text(as_html(review_mapping(mapping(tmp_path), export(HOSTILE), HOSTILE[0])), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        said, asked = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_file.as_uri())
        text = page.text_content("body") or ""
        wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        elements = page.evaluate("document.querySelectorAll('script, img, iframe, [onload], [onerror]').length")
        title = page.title()
        browser.close()
    assert (said, asked) == ([], [page_file.as_uri()])
    assert (elements, wide) == (0, False)
    assert title == "Field mapping review: mapping.yaml"
    for shown in ("restore_barcode(code)", "036000291452", "price_decimal", "1.299", *HOSTILE[:4], "{{ 7 * 7 }}"):
        assert shown in text


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; .ci/run installs it")
def test_the_samples_page_is_worth_a_picture(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    review = sample_review()
    page_file = tmp_path / "review.html"
    page_file.write_text(as_html(review), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 1000})
        page.goto(page_file.as_uri())
        for rule in review.rules:
            assert page.locator(f"#rule-{rule.name} tr").count() == min(rule.count, 20) + 1
        assert page.locator("svg path").count() == 14
        page.screenshot(path=Path(os.environ.get("SCREENSHOTS", tmp_path), "review.png"))  # see the Makefile
        browser.close()


def sample_review() -> Review:
    loaded = load_mapping(SAMPLE / "mapping.yaml")
    return review_mapping(loaded, read_source(SAMPLE / "grocery.csv", loaded.source, "grocery.csv"), "grocery.csv")


def diff(tmp_path: Path, source: pd.DataFrame, **changes: str) -> MappingDiff:
    return diff_mappings(mapping(tmp_path), mapping(tmp_path, "new.yaml", **changes), source)


def test_equal_mappings_change_nothing(tmp_path: Path) -> None:
    found = diff(tmp_path, export(["Pen", "Gum"]))
    assert (found.changed, found.fields, found.findings()) == (0, (), set())


def test_a_changed_field_is_shown_on_the_items(tmp_path: Path) -> None:
    found = diff(tmp_path, export(["Pen", "gum", "TEA"]), item_name="upper(name)")
    (field,) = found.fields
    assert (field.field, field.items, found.changed, found.findings()) == ("item_name", 2, 2, {"changed"})
    assert field.samples.to_numpy().tolist() == [[1, "Pen", "PEN"], [2, "gum", "GUM"]]
    assert "| item_name | 2 | 1 | Pen | PEN |" in as_diff_markdown(found, "old.yaml", "new.yaml", "export.csv")


def test_a_value_that_goes_and_one_that_comes_are_changes(tmp_path: Path) -> None:
    assert diff(tmp_path, export(["Pen"]), brand_name="colour").summary()["fields"] == {"brand_name": 1}
    assert diff(tmp_path, export(["Pen"]), standard_price="").summary()["fields"] == {"standard_price": 1}


def test_items_that_become_invalid_or_valid_are_named_with_reasons(tmp_path: Path) -> None:
    found = diff(tmp_path, export(["Pen", "Gum"]), external_product_id="code", standard_price="price(price, '.')")
    assert found.became_invalid.samples["source_row"].tolist() == [1]
    assert "barcode_check_digit" in found.became_invalid.samples["reasons"][0]
    assert found.findings() == {"changed", "invalid"}
    fixed = diff(tmp_path, export(["Pen", "Gum"]), standard_price="price(price, ',')")
    assert fixed.became_valid.samples["source_row"].tolist() == [2]
    assert "price_decimal" in fixed.became_valid.samples["reasons"][0]


def test_an_item_that_gets_another_key_is_told(tmp_path: Path) -> None:
    assert diff(tmp_path, export(["Pen"]), item_sku="upper(name)").findings() == {"changed", "keys"}


def test_another_list_of_stores_adds_and_removes_items(tmp_path: Path) -> None:
    old = mapping(tmp_path, store_id="", stores="[S1, S2]")
    new = mapping(tmp_path, "new.yaml", store_id="", stores="[S2, S3, S4]")
    found = diff_mappings(old, new, export(["Pen", "Gum"]))
    assert (found.items, found.added, found.removed, found.changed) == ((4, 6), 4, 2, 0)
    assert found.findings() == {"changed", "keys"}


def test_rows_without_a_store_are_compared_as_well(tmp_path: Path) -> None:
    found = diff_mappings(
        mapping(tmp_path, store_id="NULL"),
        mapping(tmp_path, "new.yaml", store_id="'S1'"),
        export(["Pen", "Gum"]),
    )
    assert found.became_valid.samples["source_row"].tolist() == [1]
    assert "store_id_required" in found.became_valid.samples["reasons"][0]


def language(tmp_path: Path, name: str, more: str) -> FieldMapping:
    path = tmp_path / name
    path.write_text(mapping(tmp_path).path.read_text(encoding="utf-8") + "\n" + more, encoding="utf-8")
    return load_mapping(path)


def test_what_is_excluded_or_merged_is_shown_by_condition_with_samples(tmp_path: Path) -> None:
    source = export(["Pen", "Pen", "<b>Gum</b>", "Tea", "Tea"])
    source.loc[1, ["sku", "code"]] = ["A0", "96385074"]
    more = "where:\n  - {expr: name <> '<b>Gum</b>', note: no gum}\n  - colour = 'red'\nmerge: barcodes\n"
    review = review_mapping(language(tmp_path, "m.yaml", more), source, "export.csv")
    assert (review.rows, review.items, review.excluded, review.merged) == (5, 3, 1, 1)
    assert [(condition.place, condition.rows) for condition in review.conditions] == [("where[1]", 1), ("where[2]", 0)]
    for page in (as_html(review), as_review_markdown(review)):
        assert "where[1]" in page.replace("\\", "")
        assert "no gum" in page
        assert "<b>Gum" not in page.replace("&lt;b&gt;", "").replace("\\<b", "")
    assert "part of another" in as_html(review)
    assert "**1** excluded, **1** part of another" in as_review_markdown(review)


def test_a_difference_names_items_that_become_excluded_or_are_so_no_more(tmp_path: Path) -> None:
    source = export(["Pen", "Gum", "Tea"])
    old = language(tmp_path, "old.yaml", "where: name <> 'Tea'\n")
    new = language(tmp_path, "new.yaml", "where: name <> 'Pen'\n")
    diff = diff_mappings(old, new, source)
    assert diff.became_excluded.samples[["source_row", "item_sku", "condition"]].to_numpy().tolist() == [
        [1, "A0", "where"]
    ]
    assert diff.became_included.samples["item_sku"].tolist() == ["A2"]
    assert (diff.added, diff.removed) == (0, 0)
    assert diff.findings() == {"changed", "keys", "excluded"}
    text = as_diff_markdown(diff, "old", "new", "export.csv")
    assert "**1** become excluded, 1 are excluded no more" in text
    assert "Become excluded" in text
