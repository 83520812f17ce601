"""Every error, grouped by what to do next."""


class MarketDataError(Exception):
    """Anything this program raises on purpose, in words for the person who meets it."""


class ConfigurationError(MarketDataError):
    """The program cannot start as it is configured; change the configuration."""


class RetryableError(MarketDataError):
    """The same request may succeed later; back off and try again.

    `retry_after` is the pause in seconds that the source asked for, where it did.
    """

    def __init__(self, message: str, *, code: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class SourceError(MarketDataError):
    """A source cannot be read any further; fail its run, under a stable reason code.

    `brief` is the message in one line, for the log, where it holds text to copy.
    """

    def __init__(self, message: str, *, code: str, brief: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.brief = brief or message


class ArchiveError(MarketDataError):
    """A file that raw records go to cannot be written, or not read back; the records are kept."""


class LockedError(MarketDataError):
    """Another worker is at work on the source; the message names it."""


class InjectedFailureError(MarketDataError):
    """A failure that `FAIL_AFTER_N_RECORDS` asked for."""


class DatabaseUnavailableError(MarketDataError):
    """The database cannot be reached, or went away; wait, and go on from the checkpoint."""


class DatabaseRefusedError(MarketDataError):
    """The database is there and refused a statement; fail the run, under a stable reason code."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class SchemaVersionError(MarketDataError):
    """The database's schema is not the one this code was written for; run `worker migrate`."""
