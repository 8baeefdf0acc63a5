"""How lines of the log are written: one line each, for people on a console or as JSON for programs.

Times are UTC. Lines of libraries come in the same form. No line holds a secret, a query or a text
of a report: who logs gives ids, names of operations and numbers.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import msgspec
import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor

_IS_ONE_WORD: Final = re.compile(r"[^\s\"=]+").fullmatch
# What every line has, whoever wrote it.
_SHARED: Final[tuple[Processor, ...]] = (
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure(form: str = "console", level: str = "info") -> None:
    """Write lines from `level` on to standard error, as `console` or `json`."""
    last: list[Processor] = [
        ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _as_json if form == "json" else _as_text,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ProcessorFormatter(processors=last, foreign_pre_chain=_SHARED))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("healthreports").setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _as_json(_logger: object, _name: str, line: MutableMapping[str, Any]) -> str:
    return msgspec.json.encode(dict(line), enc_hook=str).decode()


def _quoted(value: object) -> str:
    """A value so that it ends where it ends: a path may hold what looks like another field."""
    text = str(value)
    return text if _IS_ONE_WORD(text) else msgspec.json.encode(text).decode()


def _as_text(_logger: object, _name: str, line: MutableMapping[str, Any]) -> str:
    time, level = line.pop("timestamp", ""), line.pop("level", "")
    event, exception = line.pop("event", ""), line.pop("exception", "")
    more = "".join(f" {name}={_quoted(value)}" for name, value in line.items() if value is not None)
    said = f"{time} {str(level).upper()} {event}{more}"
    return f"{said}\n{exception}" if exception else said
