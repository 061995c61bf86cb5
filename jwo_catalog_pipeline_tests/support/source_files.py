"""Small exports as bytes, and what is read from them. No tests here."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import xlsxwriter

from jwo_catalog_pipeline.catalog.source.options import SourceOptions
from jwo_catalog_pipeline.catalog.source.reading import read_source


def read(folder: Path, name: str, content: bytes, **options: Any) -> pd.DataFrame:
    (folder / "download").write_bytes(content)
    return read_source(folder / "download", SourceOptions(**options), f"s3://bucket/{name}")


def cells(frame: pd.DataFrame) -> list[list[Any]]:
    return frame.astype(object).where(frame.notna(), None).to_numpy().tolist()


def workbook(**sheets: list[list[Any]]) -> bytes:
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"default_date_format": "yyyy-mm-dd", "strings_to_formulas": False})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for row, values in enumerate(rows):
            for column, value in enumerate(values):
                if value == "#N/A":
                    sheet.write_formula(row, column, "=NA()", None, "#N/A")
                elif value is not None:
                    sheet.write(row, column, value)
    book.close()
    return buffer.getvalue()


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()
