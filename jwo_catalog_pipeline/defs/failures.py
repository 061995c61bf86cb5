"""The errors that a user can mend, and how a run shows them."""

from types import TracebackType

import dagster as dg

from jwo_catalog_pipeline.catalog.errors import CatalogError
from jwo_catalog_pipeline.catalog_api.errors import CatalogApiError
from jwo_catalog_pipeline.defs.resources import SettingMissing
from jwo_catalog_pipeline.redaction import no_secret_in_errors
from jwo_catalog_pipeline.storage import StorageError
from jwo_catalog_pipeline.upload.errors import UploadError

# Shown as a sentence, without a retry, which would only meet it again.
EXPECTED = (CatalogError, CatalogApiError, UploadError, StorageError, SettingMissing)


class RunFailed(Exception):
    """A run in this process failed; the message is the failed step's own sentence."""


class DemoError(Exception):
    """The demo could not be finished; the message says why and what to do."""


class expected_failures(no_secret_in_errors):
    """Turns what a user can mend into a Failure with that sentence, which is not retried; no error shows a secret."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise the Failure in place of an expected error; let everything else through that holds no secret."""
        super().__exit__(kind, error, trace)
        if isinstance(error, EXPECTED):
            raise dg.Failure(str(error), allow_retries=False) from error
