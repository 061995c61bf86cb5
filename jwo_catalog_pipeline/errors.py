"""The errors that people can act on. Each says what is wrong and, where something helps, what to do.

Whoever shows an error prints both parts (`str` joins them); no code parses the text. Each class stands in the room that
raises it:

PipelineError
  ConfigurationError
  CatalogError
    SourceFileError
    MappingError
    StructureError
    InvalidItems
  CatalogApiError
    NoCredentials
    NotReached
    SignatureAged
    Throttled
    AccessDenied
      SignatureStale
      SessionExpired
    RequestRefused
    WrongEndpoint
    OutcomeUnknown
    ReportUnavailable
    ForbiddenReportLink
  StorageError
    NoSuchObject
  UploadError
    LedgerUnavailable
      Contended
    RecordNotFound
    NothingApplied
    AnotherUploadSince
    AlreadyApplied
    NoPlan
    LeaseHeld
    LeaseLost
    UploadStopped
    PlanStopped
    QueueUnavailable
    AlertsUnavailable
  InstanceUnusable
  RunFailed
  NotSettled
  DemoError
"""


class PipelineError(Exception):
    """Something that a person can correct, and that a retry would only meet again.

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


class ConfigurationError(PipelineError):
    """A setting is needed and not set, or cannot be read.

    Attributes:
        variable: the environment variable, "" where it is several.
    """

    def __init__(self, problem: str, remedy: str = "", variable: str = "") -> None:
        super().__init__(problem, remedy)
        self.variable = variable
