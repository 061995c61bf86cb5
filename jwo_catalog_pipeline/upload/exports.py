"""Exports as the ledger remembers them: which content was applied, and when, so that an older one is noticed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Export:
    """What an upload was made from. Tables and records of older versions do not say it.

    Attributes:
        sha256: of the file's bytes, in hex; "" where it is not known.
        file: its s3:// address or path.
        modified: when the file was written, epoch seconds; 0 where it is not known. A copy is written anew.
        version: names the file and its version, as `SourceFile.version`; "" where it is not known.
        read_at: when it was found to be the newest, ms since the epoch.
        read_after: the newest applied upload just before that, "" for none; None where it is not known.
    """

    sha256: str = ""
    file: str = ""
    modified: int = 0
    version: str = ""
    read_at: int = 0
    read_after: str | None = None

    @property
    def age(self) -> tuple[int, int]:
        """Orders exports: the greater is the newer one, or the same one that was read later."""
        return self.modified, self.read_at


UNKNOWN_EXPORT = Export()


@dataclass(frozen=True)
class AppliedExport:
    """An export and the upload that was applied with it last: its plan became the head, at `applied_at`."""

    upload: str
    applied_at: int
    export: Export


def overtakes(applied: AppliedExport, export: Export) -> bool:
    """Whether an upload that is in progress is needless: since its export was read, a newer one was applied."""
    since = export.read_after is not None and export.read_after != applied.upload
    return since and bool(applied.export.version) and applied.export.age >= export.age


@dataclass(frozen=True)
class ExportHistory:
    """The export of a plan, and what the ledger knows of those before.

    Attributes:
        export: the plan's.
        newest: of the newest applied upload, of which the export may be unknown; None before the first.
        before: when the same content was applied last; None for never, or so long ago that it is forgotten.
    """

    export: Export = UNKNOWN_EXPORT
    newest: AppliedExport | None = None
    before: AppliedExport | None = None


NO_HISTORY = ExportHistory()
