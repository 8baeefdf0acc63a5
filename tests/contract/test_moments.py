"""Times in requests and responses (3.4, 4.6)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthreports.contract.moments import as_datetime, of_datetime, read_instant

NOON = of_datetime(datetime(2026, 11, 24, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T12:00:00Z",
        "2026-11-24T12:00Z",
        "2026-11-24T12:00:00",
        "2026-11-24 12:00:00",
        "2026-11-24t12:00:00z",
        "2026-11-24T12:00:00.000Z",
        "2026-11-24T12:00:00,000000000Z",
        "2026-11-24T14:00:00+02:00",
        "2026-11-24T14:00:00 02:00",
        "2026-11-24T14:00:00+0200",
        "2026-11-24T07:00:00-05",
        " 2026-11-24T12:00:00Z ",
    ],
)
def test_ways_to_say_noon(text: str) -> None:
    assert read_instant(text) == NOON


def test_a_date_is_its_midnight_in_utc() -> None:
    assert read_instant("2026-11-24") == NOON - 12 * 3600 * 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2026-11-31",
        "2026-13-01",
        "0000-01-01",
        "20261124",
        "2026-W48-2",
        "2026-11-24T25:00:00Z",
        "2026-11-24T12:00:00+25:00",
        "2026-11-24T12",
        "2026-11-24x12:00:00",
        "２０２６-11-24",  # noqa: RUF001  digits, but not the ASCII digits of ISO 8601
        "1795521600",
        "",
    ],
)
def test_what_names_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_instant(text or "?")


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_survives_the_wire_to_the_second(moment: datetime) -> None:
    shown = as_datetime(of_datetime(moment))
    assert shown == moment.replace(microsecond=0)
    assert read_instant(shown.isoformat()) == of_datetime(shown)
