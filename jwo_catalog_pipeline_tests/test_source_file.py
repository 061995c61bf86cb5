"""Which file is the export: one, the newest in a folder, or the newest that a glob matches; in S3 and on disk alike."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline.source_file import check_readable, fetch_export, fetch_source, find_files, find_source
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

MARKERS = [
    "_SUCCESS",
    "export.csv.done",
    "export.csv.OK",
    "export.csv.md5",
    "export.csv.sha256",
    "export.csv.crc",
    ".export.csv.crc",
    ".DS_Store",
    ".hidden.csv",
    "_temporary.csv",
    "export.csv.part",
    "export.csv.filepart",
    "export.csv.tmp",
    "export.csv~",
    "manifest.json",
    "export-manifest.json",
    "export.csv.manifest",
    "MD5SUMS",
    "checksums.txt",
    "Thumbs.db",
    "done.txt",
]


class Place:
    """A folder that exports are put into, in S3 or on disk; `uri` is the folder's, and ends with a slash."""

    def __init__(self, uri: str, s3: Any) -> None:
        self.uri, self.s3, self._seconds = uri, s3, 1_800_000_000

    def put(self, name: str, content: bytes = b"sku\nA\n") -> None:
        """Write a file, later than every one before."""
        if self.s3:
            bucket, _, folder = self.uri.removeprefix("s3://").partition("/")
            self.s3.put_object(Bucket=bucket, Key=folder + name, Body=content)
            return
        path = Path(self.uri) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self._seconds += 60
        os.utime(path, (self._seconds, self._seconds))

    def found(self, pattern: str = "") -> list[str]:
        """What is found, below the folder."""
        return [file.uri.removeprefix(self.uri) for file in find_files(self.uri + pattern, self.s3)]


@pytest.fixture(params=["S3", "disk"])
def place(request: pytest.FixtureRequest, fresh: RunningSandbox, tmp_path: Path) -> Place:
    if request.param == "disk":
        (tmp_path / "exports").mkdir()
        return Place(f"{tmp_path.resolve()}/exports/", None)
    return Place(f"s3://{fresh.environment['JWO_BUCKET']}/exports/", boto3.client("s3"))


def test_a_file_that_was_moved_to_an_archive_below_is_not_the_newest(place: Place) -> None:
    """It was sent as the newest, with yesterday's prices."""
    place.put("today.csv")
    place.put("archive/yesterday.csv")
    assert place.found() == ["today.csv"]
    assert place.found("*") == ["today.csv"]


@pytest.mark.parametrize("name", MARKERS)
def test_what_lies_beside_an_export_is_passed_over(place: Place, name: str) -> None:
    place.put("export.csv")
    place.put(name)
    assert place.found() == ["export.csv"]
    assert place.found("*") == ["export.csv"]
    assert place.found("*.csv") == ["export.csv"]


@pytest.mark.parametrize(
    "name", ["part-00000.csv", "Export 2026.CSV", "catalog_complete.csv", "products-ready.csv.gz", "export", "tmp.csv"]
)
def test_an_export_is_not_taken_for_what_lies_beside_one(place: Place, name: str) -> None:
    place.put(name)
    assert place.found() == [name]


def test_an_empty_file_is_a_marker_unless_its_name_says_a_format(place: Place) -> None:
    """An empty export is an error that people must see: yesterday's in its place would hide it."""
    place.put("zzz.csv")
    place.put("exported", b"")
    assert place.found() == ["zzz.csv"]
    place.put("new.csv.gz", b"")
    assert "new.csv.gz" in place.found()


def test_a_glob_says_which(place: Place) -> None:
    for name in ("a-1.csv", "a-2.csv", "b-1.csv", "a-1.json", "day/a-3.csv", "night/a-4.csv", ".cache/a-5.csv"):
        place.put(name)
    assert sorted(place.found("a-*.csv")) == ["a-1.csv", "a-2.csv"]
    assert sorted(place.found("[ab]-?.csv")) == ["a-1.csv", "a-2.csv", "b-1.csv"]
    assert place.found("[!a]-1.csv") == ["b-1.csv"]
    assert sorted(place.found("*/a-*.csv")) == ["day/a-3.csv", "night/a-4.csv"]
    assert place.found("n*/") == ["night/a-4.csv"]
    assert place.found(".cache/*") == [".cache/a-5.csv"]


def test_a_marker_that_the_glob_names_is_meant(place: Place) -> None:
    place.put("export.csv")
    place.put("_full.csv")
    place.put("x.tmp")
    assert place.found("_*.csv") == ["_full.csv"]
    assert place.found("*.tmp") == ["x.tmp"]


@pytest.mark.parametrize("name", ["export[1].csv", "what?.csv", "all*.csv", "_SUCCESS", "x.part", "empty.done"])
def test_a_file_of_exactly_that_name_wins(place: Place, name: str) -> None:
    place.put(name, b"")
    place.put("export1.csv")
    place.put("whatx.csv")
    place.put("all-of-it.csv")
    assert place.found(name) == [name]


def test_a_folder_of_exactly_that_name_wins(place: Place) -> None:
    place.put("day[1]/a.csv")
    place.put("day1/b.csv")
    assert place.found("day[1]/") == ["day[1]/a.csv"]
    assert place.found("day[12]/") == ["day1/b.csv"]


def test_without_an_export_the_message_says_what_there_is(place: Place) -> None:
    place.put("_SUCCESS")
    place.put("today.csv.md5")
    place.put("archive/yesterday.csv")
    with pytest.raises(SourceFileError) as of_folder:
        place.found()
    assert "exports/ holds no " in str(of_folder.value)
    assert "but markers, checksums and the like (today.csv.md5)" in str(of_folder.value)
    assert "folders below do not count" in str(of_folder.value)
    with pytest.raises(SourceFileError, match=r"no \w+ matches .*parquet; check JWO_SOURCE_URI"):
        place.found("*.parquet")
    with pytest.raises(SourceFileError, match="does not exist"):
        place.found("archive/today.csv")


def test_two_stars_are_refused_because_old_exports_lie_in_folders_below(place: Place) -> None:
    with pytest.raises(SourceFileError, match=r"holds \*\*; name the folder"):
        place.found("**/*.csv")


def test_of_two_files_of_one_second_the_last_by_name_is_the_newest(tmp_path: Path) -> None:
    for name in ("b.csv", "c.csv", "a.csv"):
        (tmp_path / name).write_text("sku\n")
        os.utime(tmp_path / name, (1_800_000_000, 1_800_000_000))
    assert find_source(f"{tmp_path}/", None).uri == str(tmp_path.resolve() / "c.csv")


def test_the_newest_of_more_objects_than_one_page_holds(fresh: RunningSandbox) -> None:
    s3, bucket = boto3.client("s3"), fresh.environment["JWO_BUCKET"]
    for number in range(1_001):
        s3.put_object(Bucket=bucket, Key=f"many/{number:04}.csv", Body=b"sku\n")
    files = find_files(f"s3://{bucket}/many/", s3)
    assert len(files) == 1_001
    assert len(find_files(f"s3://{bucket}/many/*.csv", s3)) == 1_001
    assert find_source(f"s3://{bucket}/many/", s3).uri == f"s3://{bucket}/many/1000.csv"


def test_a_bucket_itself_is_a_folder(fresh: RunningSandbox) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="exports-only")
    s3.put_object(Bucket="exports-only", Key="a.csv", Body=b"sku\n")
    s3.put_object(Bucket="exports-only", Key="old/b.csv", Body=b"sku\n")
    for uri in ("s3://exports-only", "s3://exports-only/", "s3://exports-only/*.csv"):
        assert find_source(uri, s3).uri == "s3://exports-only/a.csv"


def test_a_folder_marker_of_the_console_is_no_export(fresh: RunningSandbox) -> None:
    s3, bucket = boto3.client("s3"), fresh.environment["JWO_BUCKET"]
    s3.put_object(Bucket=bucket, Key="day/", Body=b"")
    with pytest.raises(SourceFileError, match="day/ holds no object; check"):
        find_source(f"s3://{bucket}/day/", s3)


def test_a_folder_on_disk_needs_no_slash(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sku\n")
    assert find_source(str(tmp_path), None).uri == str(tmp_path.resolve() / "a.csv")


def test_what_is_found_can_be_read_and_is_fetched(place: Place, tmp_path: Path) -> None:
    place.put("a?[1].csv", b"sku\nA\n")
    file = find_source(place.uri, place.s3)
    check_readable(file, place.s3)
    path, _ = fetch_source(file, tmp_path, place.s3)
    assert path.read_bytes() == b"sku\nA\n"
    place.put("zero.csv", b"")
    check_readable(find_source(place.uri + "zero.csv", place.s3), place.s3)


def test_a_file_that_is_gone_cannot_be_read(place: Place) -> None:
    place.put("a.csv")
    file = find_source(place.uri, place.s3)
    remove: Callable[[], object] = Path(file.uri).unlink
    if place.s3:
        bucket, _, key = file.uri.removeprefix("s3://").partition("/")
        remove = lambda: place.s3.delete_object(Bucket=bucket, Key=key)  # noqa: E731
    remove()
    with pytest.raises(SourceFileError, match="cannot read"):
        check_readable(file, place.s3)


def test_all_files_that_a_glob_matches_are_one_export_by_name(place: Place, tmp_path: Path) -> None:
    for name in ("day/store_2.csv", "day/store_1.csv", "day/store_3.csv", "day/notes.csv.md5"):
        place.put(name, name.encode())
    export = find_source(place.uri + "day/store_*", place.s3)
    assert [file.uri.removeprefix(place.uri) for file in export.files] == [
        f"day/store_{number}.csv" for number in (1, 2, 3)
    ]
    assert export.uri == place.uri + "day/store_*"
    check_readable(export, place.s3)
    files, sha256 = fetch_export(export, tmp_path, place.s3)
    assert [file.path.read_text() for file in files] == [f"day/store_{number}.csv" for number in (1, 2, 3)]
    assert export.modified == max(file.modified for file in export.files)

    place.put("day/store_2.csv", b"other")
    later = find_source(place.uri + "day/store_*", place.s3)
    (tmp_path / "later").mkdir()
    assert later.version != export.version
    assert fetch_export(later, tmp_path / "later", place.s3)[1] != sha256


@pytest.mark.parametrize(
    "names",
    [
        ["part-00000-4f1c.csv", "part-00001-4f1c.csv", "part-00002-4f1c.csv"],
        ["items_1_of_2.csv", "items_2_of_2.csv"],
        ["items-1.csv", "items-2.csv", "items-3.csv"],
        ["0000_part_00.parquet", "0001_part_00.parquet"],
    ],
)
def test_one_part_of_a_folder_is_not_taken_for_the_whole_catalog(place: Place, names: list[str]) -> None:
    for name in names:
        place.put(name)
    with pytest.raises(SourceFileError, match="parts of one export") as error:
        find_source(place.uri, place.s3)
    glob = str(error.value.remedy).split("such as ")[1]
    assert [file.uri.removeprefix(place.uri) for file in find_source(glob, place.s3).files] == names


def test_the_exports_of_several_days_are_no_parts(place: Place) -> None:
    for name in ("items_2026-11-19.csv", "items_2026-11-20.csv"):
        place.put(name)
    assert find_source(place.uri, place.s3).uri == place.uri + "items_2026-11-20.csv"
