"""Instants as text, and back (3.4, 4.6)."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from healthreports.core.model import Instant

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# `datetime.fromisoformat` reads more than ISO 8601 (any separator, weeks, ordinals), so the format
# is checked here. A `+` that the caller did not percent-encode arrives as a space. No offset starts
# with a space, so such a space is read as a `+`.
_ISO: Final = re.compile(
    r"""
    (?P<year>\d{4}) (?:-(?P<month>\d{2}) (?:-(?P<day>\d{2})
    (?:
        [Tt\ ](?P<time>\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?)
        (?P<offset>[Zz]|[\ +-]\d{2}(?::?\d{2})?)?
    )? )? )?
    """,
    re.ASCII | re.VERBOSE,
)


@lru_cache(maxsize=4096)  # first pages are requested again and again
def as_datetime(instant: Instant) -> datetime:
    """The aware UTC datetime of `instant`, truncated to whole seconds, as answers show it."""
    return datetime.fromtimestamp(instant // 1_000_000, UTC)


def read_instant(text: str) -> Instant:
    """The instant that an ISO 8601 date or date-time names; without an offset it is UTC.

    A year, or a year and a month, means the start of that period. Raises ValueError for any other
    text. Contract: 4.6.
    """
    match = _ISO.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    date = f"{match['year']}-{match['month'] or '01'}-{match['day'] or '01'}"
    time, offset = match["time"] or "00:00", match["offset"] or "Z"
    moment = datetime.fromisoformat(f"{date}T{time}{offset.upper().replace(' ', '+')}")
    try:
        return of_datetime(moment)
    except OverflowError as error:
        raise ValueError(text) from error


def of_datetime(moment: datetime) -> Instant:
    """The instant of an aware datetime."""
    return Instant((moment - _EPOCH) // _MICROSECOND)
