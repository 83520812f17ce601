"""Amounts as people read them. The exact digits stand beside them in the page."""

from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal

EXACT = Context(prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX, rounding=ROUND_HALF_EVEN)
"""Python's own context rounds to 28 digits."""

CENT = Decimal("0.01")

SIGNIFICANT = 4
"""How many digits a price below one dollar shows."""

LEAST = len("0.00")
"""What a price below one dollar is padded to."""

SMALLEST = Decimal("1e-10")
"""Below this a price is written with an exponent: the zeros could not be counted."""

UNITS = ((Decimal("1e12"), " T"), (Decimal("1e9"), " B"), (Decimal("1e6"), " M"))

THOUSAND = 1000
"""From this on an amount has no cents, where a price has."""

LARGEST = Decimal("1e18")
"""From this on an amount is written with an exponent."""

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

MINUS = "\N{MINUS SIGN}"

TIMES = "\N{MULTIPLICATION SIGN}"


def usd(amount: Decimal) -> str:
    """Write a price: `$64,321.09`, `$0.0000123`, or with an exponent."""
    return _signed(amount, "$", _price(abs(amount)))


def compact(amount: Decimal, unit: str = "") -> str:
    """Write a large amount with three digits: `1.27 T`, `345 M`, `45,678`."""
    return _signed(amount, unit, _compact(abs(amount)))


def percent(share: Decimal) -> str:
    """Write a change: `+1.25 %`."""
    rounded = share.quantize(CENT, context=EXACT)
    sign = "+" if rounded > 0 else MINUS if rounded < 0 else ""
    return f"{sign}{abs(rounded):,f} %"


def exact(amount: Decimal) -> str:
    """Write every digit."""
    return format(amount, "f")


def _signed(amount: Decimal, unit: str, text: str) -> str:
    return f"{MINUS if amount < 0 else ''}{unit}{text}"


def _price(amount: Decimal) -> str:
    if amount == 0:
        return "0"
    if amount >= LARGEST or amount < SMALLEST:
        return _with_exponent(amount)
    if amount >= 1:
        return format(amount.quantize(CENT, context=EXACT), ",f")
    places = Decimal(1).scaleb(amount.adjusted() + 1 - SIGNIFICANT)
    return format(amount.quantize(places, context=EXACT), "f").rstrip("0").ljust(LEAST, "0")


def _compact(amount: Decimal) -> str:
    if amount >= LARGEST:
        return _with_exponent(amount)
    for size, name in UNITS:
        # What would be rounded up to 1,000 M is 1.00 B.
        if _three_digits(amount / size) >= 1:
            return f"{_three_digits(amount / size):,f}{name}"
    if amount and amount < 1:
        return _price(amount)
    is_round = amount >= THOUSAND or amount == amount.to_integral_value()
    places = Decimal(1) if is_round else CENT
    return format(amount.quantize(places, context=EXACT), ",f")


def _three_digits(amount: Decimal) -> Decimal:
    places = Decimal(1).scaleb(min(max(amount.adjusted(), 0) - 2, 0))
    return amount.quantize(places, context=EXACT)


def _with_exponent(amount: Decimal) -> str:
    digits, _, exponent = f"{amount:.2e}".partition("e")
    return f"{digits} {TIMES} 10{exponent.removeprefix('+').translate(SUPERSCRIPTS)}"
