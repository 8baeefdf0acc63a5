"""Find the exact instant of a time that answers show in whole seconds, using only filters."""

from datetime import UTC, datetime, timedelta

import httpx


def shown(text: str) -> datetime:
    """Read a time in the form in which answers write it."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def written(instant: datetime) -> str:
    """Write an instant for a filter, with microseconds."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def exact(api: httpx.Client, report_id: str, attribute: str = "updated") -> datetime:
    """The stored instant, in microseconds: the first one that the report is not strictly after."""
    second = shown(
        api.get(f"/status_reports/{report_id}").json()["status_reports"][report_id][
            f"{attribute}_at"
        ]
    )
    before, after = -1, 999_999
    while after - before > 1:
        middle = (before + after) // 2
        instant = written(second + timedelta(microseconds=middle))
        answer = api.get(
            "/status_reports", params={"only": report_id, f"{attribute}_after": instant}
        )
        assert answer.status_code == 200, answer.text
        before, after = (middle, after) if answer.json()["count"] else (before, middle)
    return second + timedelta(microseconds=after)
