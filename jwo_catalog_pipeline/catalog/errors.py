"""What can go wrong between an export file and a validated catalog: one class per cause.

Belongs here: the exceptions of `catalog/`, whose messages name the file, the row or field, and the remedy.
Does not belong here: what the Catalog API or AWS may answer (see `catalog_api/errors.py`).
"""

from jwo_catalog_pipeline.errors import PipelineError, TerminalError


class CatalogError(PipelineError):
    """A catalog file, its mapping or its items cannot be used as they are."""


class SourceFileError(CatalogError):
    """The export file is missing, empty, cut off, or not in the format that it should be in."""


class MappingError(CatalogError, TerminalError):
    """The field mapping file is not valid, or does not fit the columns of the export."""


class StructureError(CatalogError, TerminalError):
    """A table lacks columns, or its columns have other types than the catalog's structure asks for."""


class OutputError(CatalogError, TerminalError):
    """A table cannot be written as the kind of file that was asked for."""


class InvalidItems(CatalogError, TerminalError):
    """Items that are about to be sent break a rule that only errors can break."""
