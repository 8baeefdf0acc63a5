"""A report as Markdown (CommonMark), to paste into a conversation."""

import re
from typing import Final

from healthreports.contract.moments import as_datetime
from healthreports.core.model import StatusReport, User, Workspace
from healthreports.core.portfolio import State

# A shape and a word, so that the reader need not tell colors apart.
SIGNS: Final = {
    State.RED: "🛑 Red",
    State.YELLOW: "⚠️ Yellow",
    State.GREEN: "✅ Green",
    State.NONE: "Not reported",
}
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~&])")
# The characters that begin a list, a rule or a heading at the start of a line. Each line is already
# stripped: a pattern that also matched line breaks would take time quadratic in their number.
_BEGINS: Final = re.compile(r"^(\d*)([-+=.)])", re.MULTILINE)
_BREAK: Final = re.compile(r"(?<!\n)\n(?!\n)")


def of_report(workspace: Workspace, report: StatusReport, author: User) -> str:
    """The report with its heading and all details; texts of people are shown as written."""
    day = f"{as_datetime(report.created_at):%Y-%m-%d}"
    parts = [
        f"## {_in_line(workspace.title)}: {SIGNS[State(report.color)]}",
        f"Status report of {day}, by {_in_line(author.full_name)}",
        _plain(report.description),
    ]
    for detail in report.details:
        head = f"**{detail.category}: {SIGNS[State(detail.color)]}**"
        text = _plain(detail.description or "")
        parts.append(f"{head}\\\n{text}" if text else head)
    return "\n\n".join(parts) + "\n"


def _in_line(text: str) -> str:
    return _plain(" ".join(text.split()))


def _plain(text: str) -> str:
    """`text`, escaped so that Markdown shows its characters as they are."""
    lines = (line.strip() for line in text.strip().splitlines())
    escaped = _BEGINS.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", "\n".join(lines)))
    return _BREAK.sub("\\\\\n", escaped)
