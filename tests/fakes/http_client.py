"""The clock and the key of an HTTP client under test."""

FAST = 6_000_000

KEY = "s3cret-k3y"


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def pauses(clock: Clock) -> list[float]:
    """The pauses between attempts; those of the rate limiter are far shorter."""
    return [pause for pause in clock.pauses if pause > 60 / FAST]
