"""The measurements, the thresholds, and the text of RESULTS.md."""

import re
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"


def write_part(name: str, text: str) -> None:
    """Replace one part of RESULTS.md with `text`, or append it if there is no such part."""
    kept = RESULTS.read_text() if RESULTS.exists() else ""
    made = f"<!-- {name} -->\n\n{text.strip()}\n\n<!-- end of {name} -->\n"
    whole = re.compile(rf"<!-- {name} -->.*?<!-- end of {name} -->\n", re.DOTALL)
    if whole.search(kept):
        RESULTS.write_text(whole.sub(lambda _match: made, kept))
    else:
        RESULTS.write_text(f"{kept}\n{made}" if kept else made)


@dataclass(frozen=True)
class Turn:
    """The result of a run of wrk; `busy` is the share of a core that the server used meanwhile."""

    requests: int
    rate: float
    rate_cpu: float
    busy: float
    wrk_busy: float
    p50_ms: float
    p99_ms: float


@dataclass
class Measurements:
    """All measurements: the turns by case and app, one for each round; the rest by case or app."""

    turns: dict[str, dict[str, list[Turn]]] = field(default_factory=dict)
    fsync_rates: dict[str, list[float]] = field(default_factory=dict)
    starts_s: dict[str, list[float]] = field(default_factory=dict)
    memory_mb: dict[str, tuple[float, float]] = field(default_factory=dict)
    creates: list[str] = field(default_factory=list)

    def add(self, label: str, app: str, turn: Turn) -> None:
        self.turns.setdefault(label, {}).setdefault(app, []).append(turn)

    def ratios(self, label: str, peer: str, rate: str = "rate", app: str = "ours") -> list[float]:
        apps = self.turns[label]
        pairs = zip(apps[app], apps[peer], strict=True)
        return [getattr(ours, rate) / getattr(theirs, rate) for ours, theirs in pairs]

    def ratio(self, label: str, peer: str, rate: str = "rate") -> float:
        return statistics.median(self.ratios(label, peer, rate))

    def disk_shares(self, label: str) -> list[float]:
        """For each turn, the rate of creates as a share of the disk's own rate before the turn."""
        turns, disk = self.turns[label]["writer"], self.fsync_rates[label]
        return [turn.rate / rate for turn, rate in zip(turns, disk, strict=True)]

    def start_s(self, app: str) -> float:
        return statistics.median(self.starts_s[app])

    def peak_mb(self, *apps: str) -> float:
        return max(self.memory_mb[app][1] for app in apps)


@dataclass(frozen=True)
class Threshold:
    """What must be reached.

    `measured` returns the value that counts, its value by wrk's clock, and whether it is reached.
    One of the two values may be empty.
    """

    says: str
    target: str
    measured: Callable[[Measurements], tuple[str, str, bool]]


def _at_least(
    case: str, peer: str, least: float, form: str
) -> Callable[[Measurements], tuple[str, str, bool]]:
    def measured(found: Measurements) -> tuple[str, str, bool]:
        label = f"{case}, participant"
        per_cpu = found.ratio(label, peer, "rate_cpu")
        return form.format(per_cpu), form.format(found.ratio(label, peer)), per_cpu >= least

    return measured


def _on_postgres(case: str, least: float) -> Callable[[Measurements], tuple[str, str, bool]]:
    """Measured by wrk's clock, since the server's processor time excludes PostgreSQL's."""

    def measured(found: Measurements) -> tuple[str, str, bool]:
        ratio = statistics.median(found.ratios(f"{case}, participant", "bare", app="postgres"))
        return "", f"{ratio:.1%}", ratio >= least

    return measured


def _price(found: Measurements) -> tuple[str, str, bool]:
    """The cost of includes: processor time of a page with them, as a multiple of one without."""
    by_cpu, by_clock = _beside(found, ("list-20", "ours"), ("list-20-include", "ours"))
    return f"{by_cpu:.2f}", f"{by_clock:.2f}", by_cpu <= MAX_PRICE


def _creates_beside_reads(found: Measurements) -> tuple[str, str, bool]:
    """The rate of creates as a share of the rate of get-one, per second of processor time."""
    by_cpu, by_clock = _beside(found, ("create", "writer"), ("get-one", "ours"))
    return f"{by_cpu:.1%}", f"{by_clock:.1%}", by_cpu >= MIN_CREATES


def _beside(
    found: Measurements, one: tuple[str, str], other: tuple[str, str]
) -> tuple[float, float]:
    """The ratio of the rates of two cases: per second of processor time, and by wrk's clock."""
    turns = found.turns[f"{one[0]}, participant"][one[1]]
    others = found.turns[f"{other[0]}, participant"][other[1]]
    by_cpu, by_clock = (
        statistics.median(
            getattr(mine, rate) / getattr(theirs, rate)
            for mine, theirs in zip(turns, others, strict=True)
        )
        for rate in ("rate_cpu", "rate")
    )
    return by_cpu, by_clock


def _unchanged(found: Measurements) -> tuple[str, str, bool]:
    by_cpu, by_clock = _beside(found, ("list-304", "ours"), ("get-one", "ours"))
    return f"{by_cpu:.1%}", f"{by_clock:.1%}", by_cpu >= MIN_UNCHANGED


def _keyed(found: Measurements) -> tuple[str, str, bool]:
    by_cpu, by_clock = _beside(found, ("create", "writer"), ("create-key", "writer"))
    return f"{by_cpu - 1:+.1%}", f"{by_clock - 1:+.1%}", by_cpu <= MAX_OF_KEY


def _start(found: Measurements) -> tuple[str, str, bool]:
    times = found.start_s("ours") / found.start_s("bare")
    return f"{times:.1f} ({found.start_s('ours'):.2f} s)", "", times <= MAX_STARTS


def _share_of_disk(share: float) -> tuple[str, str, bool]:
    return "", f"{share:.1%}", share >= MIN_SHARE_OF_DISK


MIN_SHARE_OF_DISK = 0.5
MIN_CREATES = 0.35
MAX_PRICE = 1.8
MAX_STARTS = 4.0
MIN_UNCHANGED = 0.85
MAX_OF_KEY = 1.15
MAX_RESIDENT_MB = 100.0
THRESHOLDS = (
    Threshold("get-one / bare", "at least 42 %", _at_least("get-one", "bare", 0.42, "{:.1%}")),
    Threshold("get-one / plain", "at least 12", _at_least("get-one", "plain", 12, "{:.1f}")),
    Threshold("list-20 / bare", "at least 25 %", _at_least("list-20", "bare", 0.25, "{:.1%}")),
    Threshold(
        "list-20-include / bare",
        "at least 14 %",
        _at_least("list-20-include", "bare", 0.14, "{:.1%}"),
    ),
    Threshold("list-20 / list-20-include", "at most 1.8 times the processor time", _price),
    Threshold(
        "workspaces-current / bare",
        "at least 4 %",
        _at_least("workspaces-current", "bare", 0.04, "{:.1%}"),
    ),
    Threshold("references / bare", "at least 10 %", _at_least("references", "bare", 0.1, "{:.1%}")),
    # The query has a word that all 10,000 reports have, and one that few have.
    Threshold("search / bare", "at least 1.5 %", _at_least("search", "bare", 0.015, "{:.1%}")),
    Threshold("list-20 / plain", "at least 20", _at_least("list-20", "plain", 20, "{:.1f}")),
    Threshold("get-one on PostgreSQL / bare", "at least 20 %", _on_postgres("get-one", 0.20)),
    Threshold("list-20 on PostgreSQL / bare", "at least 13 %", _on_postgres("list-20", 0.13)),
    Threshold(
        "create / the disk's own rate, 32 clients",
        "at least 50 %",
        lambda found: _share_of_disk(statistics.median(found.disk_shares("create, participant"))),
    ),
    Threshold("create / get-one", "at least 35 % of its rate", _creates_beside_reads),
    Threshold("list-304 / get-one", "at least 85 %", _unchanged),
    Threshold("create-key / create", "at most 15 % more processor time", _keyed),
    Threshold("cold start / bare", "at most 4 times", _start),
    Threshold(
        "peak resident memory",
        "under 100 MB",
        lambda found: (
            f"{found.peak_mb('ours', 'writer'):.0f} MB",
            "",
            found.peak_mb("ours", "writer") < MAX_RESIDENT_MB,
        ),
    ),
)


def report(found: Measurements, facts: list[str], rounds: int) -> str:
    """The speed part of RESULTS.md."""
    parts = [
        "# Benchmark",
        _HEAD,
        _bullets(facts),
        "## Thresholds",
        _THRESHOLDS,
        _thresholds(found),
        "## Requests per second",
        _SPEED.format(rounds=rounds),
        _rates(found),
        _RATIOS,
        _ratios(found),
        _BUSY,
        _busy(found),
        "## Create, durable",
        _CREATE,
        _creates(found),
        _bullets(found.creates),
        "## Memory and start",
        _MEMORY,
        _memory(found),
    ]
    return "\n\n".join(parts) + "\n"


_HEAD = """\
Written by `make bench`. The numbers come from one run on one machine; compare the ratios, not the
absolute numbers. The data is 10,000 reports in 100 workspaces of one account, each with 3 or 4
details and one external reference. The *participant* is not an administrator and sees a report
because it participates in its workspace; the *administrator* sees the whole account. *ours* is this
server. *bare* is an ASGI application that only sends the same bytes as ours, with the same number
of headers, on the same server program. *plain* does the same reads in the way that tutorials show:
FastAPI, Pydantic, SQLAlchemy ORM. The answers of ours and plain were compared before measuring:
equal JSON of the right size, nothing for a user without access, 401 for an unknown token.
*postgres* is ours on PostgreSQL; the PostgreSQL server runs on wrk's core and is reached by a Unix
socket."""
_THRESHOLDS = """\
The thresholds apply to the ratio of requests per second of processor time of the server processes,
which other programs on the machine hardly change. *by wrk* is the ratio of requests per second of
wrk's clock. On an otherwise idle machine both ratios are the same."""
_SPEED = """\
Medians of {rounds} rounds. All applications run during a round, and are measured one after another.
get-one requests 1,000 different reports in turn. list-20 is the first page, with permissions and
the exact count; ours caches the count until something in the account changes, plain counts each
time."""
_RATIOS = """\
Ratios are calculated within a round: the median, and in brackets the minimum and the maximum. *per
CPU* is the ratio by processor time, as above."""
_BUSY = """\
The table shows how busy the server's process and wrk kept their cores. If bare leaves its core
partly idle, something else was the limit (wrk, or another program on the machine); then *ours /
bare* is too favourable to ours, but *per CPU* is not."""
_CREATE = """\
Each create is on disk (`synchronous = FULL`) before its 200; creates that wait at the same time
share a commit. The disk's own rate is how often a program can overwrite as much of a file as one
create writes, each time with `fdatasync`, one after the other, on the same disk; it is measured
before each turn. At the end the server is killed with SIGKILL and the database is read."""
_MEMORY = """\
Resident memory at the end of all rounds, and its peak (VmHWM), in MB of 10^6 bytes; *writer* is the
process of ours that handled the creates. Cold start is the time from the start of the process to
the first 200 of get-one with a token, with bytecode compiled in advance: the median, and in
brackets the minimum and the maximum."""


def _thresholds(found: Measurements) -> str:
    rows = []
    for one in THRESHOLDS:
        counts, by_wrk, reached = one.measured(found)
        rows.append((one.says, one.target, counts, by_wrk, "yes" if reached else "**no**"))
    return _table(("as the participant", "to reach", "measured", "by wrk", "reached"), rows)


def _rates(found: Measurements) -> str:
    rows = []
    for label, apps in found.turns.items():
        if "ours" in apps:
            ours = apps["ours"]
            rates = (_median(apps.get(app, []), "rate", "{:,.0f}") for app in _APPS)
            rows.append((label, *rates, *(_median(ours, p, "{:.1f}") for p in _PERCENTILES)))
    return _table(("case", *_APPS, "p50 of ours, ms", "p99 of ours, ms"), rows)


def _busy(found: Measurements) -> str:
    rows = []
    for label, apps in found.turns.items():
        if "ours" in apps:
            cells = (
                ", ".join(_median(apps[app], name, "{:.0%}") for name in ("busy", "wrk_busy"))
                if app in apps
                else ""
                for app in _APPS
            )
            rows.append((label, *cells))
    return _table(("core of the server, core of wrk", *_APPS), rows)


def _ratios(found: Measurements) -> str:
    rows = []
    for label, apps in found.turns.items():
        cells = (
            _spread(found.ratios(label, peer, rate), form) if peer in apps else ""
            for peer, form in (("bare", "{:.1%}"), ("plain", "{:.1f}"))
            for rate in ("rate", "rate_cpu")
        )
        if "ours" in apps:
            rows.append((label, *cells))
    head = ("case", "ours / bare", "per CPU", "ours / plain", "per CPU")
    return _table(head, rows)


def _creates(found: Measurements) -> str:
    rows = []
    for label, apps in found.turns.items():
        if "writer" in apps:
            turns = apps["writer"]
            rows.append(
                (
                    label,
                    _median(turns, "rate", "{:,.0f}"),
                    f"{statistics.median(found.fsync_rates[label]):,.0f}",
                    _spread(found.disk_shares(label), "{:.1%}"),
                    *(_median(turns, p, "{:.1f}") for p in _PERCENTILES),
                )
            )
    head = ("case", "writes a second", "the disk's own", "share", "p50, ms", "p99, ms")
    return _table(head, rows)


def _memory(found: Measurements) -> str:
    rows = []
    for app, (now, peak) in found.memory_mb.items():
        starts = found.starts_s.get(app)
        rows.append((app, f"{now:.0f}", f"{peak:.0f}", _spread(starts, "{:.2f}") if starts else ""))
    return _table(("", "resident, MB", "peak, MB", "cold start, s"), rows)


_APPS = ("ours", "postgres", "bare", "plain")
_PERCENTILES = ("p50_ms", "p99_ms")


def _median(turns: list[Turn], name: str, form: str) -> str:
    return form.format(statistics.median(getattr(t, name) for t in turns)) if turns else ""


def _spread(values: list[float], form: str) -> str:
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{form.format(middle)} ({form.format(least)} to {form.format(most)})"


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
