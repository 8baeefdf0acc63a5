"""Measures the cost of logs, metrics and limits: the deployed configuration against a bare one.

Both servers run at the same time on one core, and wrk, on the other core, calls them in turns. The
result is a ratio of requests per second of processor time, calculated within each round; the median
over the rounds counts. The audit log is always on. An audit event is written in the transaction of
the change that it records; reading and writing reports is not audited, so the audit log has no
effect on the result. Needs what `run.py` needs.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import data
from results import RESULTS, write_part
from run import (
    CASES,
    CREATES,
    ROOT,
    VAR,
    Case,
    Content,
    Server,
    Stop,
    _free_port,
    _run,
    cores,
    turn,
)

MEASURED = [
    one
    for one in (*CASES, *CREATES)
    if one.user == "participant" and one.name in ("get-one", "list-20", "create")
]
# The deployed configuration may lose at most a tenth of the rate of the bare one.
LEAST = 0.90
BARE = {
    "HEALTHREPORTS_TOKEN_REQUESTS_PER_MINUTE": "0",
    "HEALTHREPORTS_ADDRESS_REQUESTS_PER_MINUTE": "0",
}
DEPLOYED = {
    # Requests are counted as usual, with a limit that no load here reaches.
    "HEALTHREPORTS_TOKEN_REQUESTS_PER_MINUTE": "1000000000",
    "HEALTHREPORTS_ACCESS_LOG": "true",
    "HEALTHREPORTS_LOG_FORMAT": "json",
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what logs, metrics and limits cost.")
    parser.add_argument("--seconds", type=int, default=2, help="of each turn (default: 2)")
    parser.add_argument("--rounds", type=int, default=21, help="(default: 21)")
    options = parser.parse_args()
    os.sched_setaffinity(0, {cores()[1]})
    try:
        with content() as filled:
            found = measure(filled, options.rounds, options.seconds)
    except Stop as stop:
        print(f"bench: {stop}", file=sys.stderr)
        return 2
    text = report(found, options)
    print(text)
    write_part("deployed", text)
    print(f"written to {RESULTS.relative_to(ROOT)}")
    return 0 if all(statistics.median(one) >= LEAST for one in found.values()) else 1


@contextlib.contextmanager
def content() -> Iterator[Content]:
    """Fill a database for each of the two servers and start them; stop them at the end."""
    shutil.rmtree(VAR, ignore_errors=True)
    VAR.mkdir(parents=True)
    ours = Path(sys.executable).with_name("healthreports")
    bare, deployed = (VAR / f"{name}.sqlite3" for name in ("bare", "deployed"))
    _run(str(ours), "db", "upgrade", "--database", str(bare))
    secrets = data.fill_ours(str(bare))
    shutil.copyfile(bare, deployed)
    metrics = {"HEALTHREPORTS_METRICS_PORT": str(_free_port())}
    servers = {
        "bare": Server("bare", (str(ours), "serve", "--database", str(bare)), BARE),
        "deployed": Server(
            "deployed", (str(ours), "serve", "--database", str(deployed)), DEPLOYED | metrics
        ),
    }
    try:
        for one in servers.values():
            one.start(secrets["participant"])
        yield Content(secrets, {}, servers, deployed)
    finally:
        for one in servers.values():
            one.stop()


def measure(filled: Content, rounds: int, seconds: int) -> dict[str, list[float]]:
    """By case, the rate of `deployed` as a fraction of the rate of `bare`, one for each round."""
    for case in MEASURED:
        for app in filled.servers:
            turn(filled, case, app, 1)
    found: dict[str, list[float]] = {case.name: [] for case in MEASURED}
    for number in range(rounds):
        for case in MEASURED:
            found[case.name].append(_ratio(filled, case, number, seconds))
        print(f"round {number + 1} of {rounds}", flush=True)
    return found


def _ratio(filled: Content, case: Case, number: int, seconds: int) -> float:
    rates = {}
    for app in sorted(filled.servers, reverse=bool(number % 2)):
        rates[app] = turn(filled, case, app, seconds).rate_cpu
    return rates["deployed"] / rates["bare"]


def report(found: dict[str, list[float]], options: argparse.Namespace) -> str:
    lines = [
        "",
        f"`bench/deployed.py --seconds {options.seconds} --rounds {options.rounds}`: requests",
        "per second of processor time with a JSON log line for each request, metrics and rate",
        "limits, as a fraction of the rate without them.",
        "",
        "| case | median | from | to | at least |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {statistics.median(one):.3f} | {min(one):.3f} | {max(one):.3f} | {LEAST} |"
        for name, one in found.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
