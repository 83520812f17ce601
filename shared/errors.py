"""The program's errors; the type determines the reaction."""


class MarketDataError(Exception):
    """Base class of the errors whose message is written for users."""


class ConfigurationError(MarketDataError):
    """The program cannot start with this configuration."""


class RetryableError(MarketDataError):
    """The same request may succeed later; back off and try again.

    `retry_after` is the pause in seconds that the source asked for, or None.
    """

    def __init__(self, message: str, *, code: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class SourceError(MarketDataError):
    """A source cannot be read further; fail its run with a stable reason code.

    `brief` is the message in one line for the log, if the full message contains text to copy.
    """

    def __init__(self, message: str, *, code: str, brief: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.brief = brief or message


class ArchiveError(MarketDataError):
    """An archive of raw records cannot be written or verified; the records are not deleted."""


class LockedError(MarketDataError):
    """Another worker is reading the source; the message names it."""


class InjectedFailureError(MarketDataError):
    """A failure caused by `FAIL_AFTER_N_RECORDS`."""


class DatabaseUnavailableError(MarketDataError):
    """The database cannot be reached; wait, then continue from the checkpoint."""


class DatabaseRefusedError(MarketDataError):
    """The database refused a statement; fail the run with a stable reason code."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class SchemaVersionError(MarketDataError):
    """The database schema does not match this release; run `worker migrate`."""
