"""The columns with the contents of a report, a version of a report, or a deleted report."""

from typing import Any, Final

from healthreports.core.model import ReportVersion, StatusReport
from healthreports.core.vocabulary import Category
from healthreports.store.schema.tables import color_column, description_column

_DETAIL_COLUMNS: Final = {
    category: (color_column(category), description_column(category)) for category in Category
}
_NO_DETAILS: Final = dict.fromkeys(name for pair in _DETAIL_COLUMNS.values() for name in pair)
CONTENTS: Final = ("color", "description", *_NO_DETAILS)


def contents_of(one: StatusReport | ReportVersion) -> dict[str, Any]:
    """The values of the columns `CONTENTS`."""
    values: dict[str, Any] = {"color": one.color, "description": one.description, **_NO_DETAILS}
    for detail in one.details:
        color, description = _DETAIL_COLUMNS[detail.category]
        values[color], values[description] = detail.color, detail.description
    return values
