"""The errors that people can act on. Each says what is wrong and, where something helps, what to do.

Code that shows an error prints both parts (`str` joins them); none parses the text. Two mix-ins say what a retry of
the same thing does: after a `TransientError` it may help, after a `TerminalError` it cannot help before something was
changed. A class with neither has causes of both kinds. They inform; what is
retried is decided where the call is made. Each class is defined in the room that raises it:

PipelineError
  ConfigurationError (terminal)
  CatalogError
    SourceFileError
    MappingError (terminal)
    StructureError (terminal)
    OutputError (terminal)
    InvalidItems (terminal)
  CatalogApiError
    NoCredentials
    NotReached (transient)
    SignatureAged (transient)
    Withdrawn
    Throttled (transient)
    AccessDenied
      SignatureStale
      SessionExpired
    RequestRefused (terminal)
    WrongEndpoint (terminal)
    NetworkBlocks (terminal)
    OutcomeUnknown (transient)
    ReportUnavailable
    ForbiddenReportLink
  StorageError
    NoSuchObject (terminal)
  UploadError
    LedgerUnavailable
      Contended (transient)
    RecordNotFound (terminal)
    NothingApplied (terminal)
    AnotherUploadSince (terminal)
    AlreadyApplied (terminal)
    NoPlan (terminal)
    LeaseHeld (transient)
    LeaseLost
      BatchTaken
    UploadClosed (terminal)
    UploadStopped
    SendingHalted
    SendingPaused (transient)
    Overtaken (terminal)
    PlanStopped (terminal)
    QueueUnavailable
    AlertsUnavailable
  DiskFull (transient)
  InstanceUnusable
  RunFailed
  RowsInvalid (terminal)
  Interrupted
  NotSettled (transient)
  DemoError
"""


class PipelineError(Exception):
    """Something that went wrong and that a person can act on.

    Attributes:
        problem: what is wrong; names the file, row, field, setting or resource.
        remedy: what to do about it; "" where the problem says it all.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem, self.remedy = problem, remedy

    def __str__(self) -> str:
        """Both parts, for people."""
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem


class TransientError:
    """A mix-in: the same thing may succeed if it is tried again."""


class TerminalError:
    """A mix-in: the same thing fails again until something was changed."""


class ConfigurationError(PipelineError, TerminalError):
    """A setting is needed and not set, or cannot be read.

    Attributes:
        variable: the environment variable, "" where it is several.
    """

    def __init__(self, problem: str, remedy: str = "", variable: str = "") -> None:
        super().__init__(problem, remedy)
        self.variable = variable
