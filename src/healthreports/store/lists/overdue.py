"""The time from which the next report of a workspace is overdue: `core/cadence` as SQL."""

from datetime import date
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Integer,
    and_,
    case,
    cast,
    func,
    literal_column,
)

from healthreports.core.cadence import LAST, WEEKDAYS, days_after
from healthreports.core.vocabulary import DAY_US, ReportEvery
from healthreports.store.engine.statement import EitherNumber
from healthreports.store.schema.tables import workspaces

_EPOCH: Final = literal_column("DATE '1970-01-01'", Date)
# 1970-01-01 was a Thursday, three days after a Monday.
_EPOCH_FROM_MONDAY: Final = 3
_w: Final = workspaces.c


def overdue_at(reported_at: ColumnElement[Any]) -> ColumnElement[Any]:
    """The time from which the next report is overdue, for the workspace of the row; or null.

    `reported_at` is when its current report was created, null if there is none.
    """
    after = case(
        *((_w.report_every == _text(one), _number(days_after(one))) for one in _REGULAR),
        else_=_number(0),
    )
    earliest = func.coalesce(_day(reported_at) + after, _day(_w.created_at))
    until = _day_of_date(_w.report_paused_until)
    first = case((until > earliest, until), else_=earliest)
    of_month = _weekday_from(_month(first, 0))
    is_over = of_month < first
    monthly = case((is_over, _weekday_from(_month(first, 1))), else_=of_month)
    is_monthly = _w.report_every == _text(ReportEvery.MONTH)
    due = case((is_monthly, monthly), else_=_weekday_from(first))
    has_calendar = first <= _number((LAST - date(1970, 1, 1)).days)
    is_due = and_(_w.report_every != _text(ReportEvery.NEVER), has_calendar)
    return case((is_due, (due + _number(1)) * _number(DAY_US)))


_REGULAR: Final = tuple(one for one in ReportEvery if one is not ReportEvery.NEVER)


def _text(text: str) -> ColumnElement[str]:
    return literal_column(f"'{text}'")


def _number(number: int) -> ColumnElement[int]:
    return literal_column(str(number), BigInteger)


def _day(moment: ColumnElement[Any]) -> ColumnElement[Any]:
    """The number of the day of a moment; 1970-01-01 is day 0."""
    return moment.op("/", return_type=BigInteger())(_number(DAY_US))


def _weekday_from(day: ColumnElement[Any]) -> ColumnElement[Any]:
    """The first day, `day` or later, that is the weekday on which the workspace reports."""
    wanted = case(
        *((_w.report_day == _text(one), _number(number)) for one, number in WEEKDAYS.items())
    )
    from_monday = (day + _number(_EPOCH_FROM_MONDAY)) % _number(7)
    return day + (wanted - _number(1) - from_monday + _number(7)) % _number(7)


def _day_of_date(day: ColumnElement[Any]) -> ColumnElement[Any]:
    return EitherNumber(_sqlite_day(day), _server_day(cast(day, Date)))


def _month(day: ColumnElement[Any], further: int) -> ColumnElement[Any]:
    """The first day of the month that is `further` months after the month of `day`."""
    months = f"{further} months"
    begun = func.date_trunc(_text("month"), _EPOCH.op("+")(cast(day, Integer)))
    on_server = begun.op("+")(literal_column(f"INTERVAL '{months}'"))
    return EitherNumber(
        _sqlite_day(day * _number(86_400), "unixepoch", "start of month", f"+{months}"),
        _server_day(cast(on_server, Date)),
    )


def _sqlite_day(when: ColumnElement[Any], *changes: str) -> ColumnElement[Any]:
    seconds = func.strftime(_text("%s"), when, *map(_text, changes))
    return cast(seconds, Integer).op("/", return_type=BigInteger())(_number(86_400))


def _server_day(day: ColumnElement[Any]) -> ColumnElement[Any]:
    return day.op("-", return_type=BigInteger())(_EPOCH)
