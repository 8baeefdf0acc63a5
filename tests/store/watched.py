"""Transactions that record the query plan of each statement, and how much it read."""

import json
import re
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg

from healthreports.store.engine.database import Row
from healthreports.store.engine.postgres import PLANS, PostgresTransaction, connect
from healthreports.store.engine.sqlite import SqliteTransaction
from healthreports.store.engine.statement import DriverText, Statement, Values

GROWN = ("status_reports", "external_references", "report_terms", "search_words")


class Seen(NamedTuple):
    """A statement that was run: what made it, its SQL, its query plan, and how much it read.

    `cost` is in rows that PostgreSQL read, or in instructions of SQLite's virtual machine. `scans`
    are the parts of the plan that read a whole table or account. `estimate` is PostgreSQL's own
    estimate of the cost, by which it chooses a plan.
    """

    maker: str
    text: str
    plan: str
    cost: int
    scans: list[str]
    sorts: bool
    estimate: float = 0.0
    buffers: int = 0

    def __str__(self) -> str:
        return f"{self.maker} looked at {self.cost}:\n{self.text}\n{self.plan}"


class Explained(Statement):
    """The statement that returns the query plan of another one on SQLite."""

    def __init__(self, form: DriverText) -> None:
        self.for_sqlite = DriverText(f"EXPLAIN QUERY PLAN {form.text}", form.constants, form.lists)


STEPS = 50
# These read an index in its order until a page is full, or only its first entry.
IN_ORDER = {"walk_statement", "_LAST"}
# The index has part of the order: only rows with equal times are sorted, by id.
IN_PART = re.compile(r"USE TEMP B-TREE FOR (RIGHT PART|LAST \w*\s?TERMS?) OF ORDER BY")


class OnSqlite(SqliteTransaction):
    """A transaction that records the query plan of each statement."""

    def __init__(self, connection: sqlite3.Connection, made: dict[int, str]) -> None:
        super().__init__(connection, {})
        self.seen: list[Seen] = []
        self.made = made
        self.steps = 0

    def step(self) -> None:
        self.steps += STEPS

    def close(self) -> None:
        self._connection.close()

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        plan = [row[3] for row in super().rows(Explained(statement.for_sqlite), values)]
        self.steps = 0
        self._connection.set_progress_handler(self.step, STEPS)
        found = super().rows(statement, values)
        self._connection.set_progress_handler(None, 0)
        maker = self.made.get(id(statement), "")
        self.seen.append(
            Seen(
                maker=maker,
                text=statement.for_sqlite.text,
                plan="\n".join(plan),
                cost=self.steps,
                scans=[line for line in plan if is_scan(line, in_order=maker in IN_ORDER)],
                sorts=any("FOR ORDER BY" in IN_PART.sub("", line) for line in plan),
            )
        )
        return found


# A lookup in the FTS5 index.
WORDS_FOUND = "VIRTUAL TABLE INDEX 0:M1"


def is_scan(line: str, *, in_order: bool) -> bool:
    """Whether a step of SQLite's plan reads a whole table, or all rows of an account in it."""
    table = re.match(r"(SCAN|SEARCH) (\w+)", line)
    if table is None or table[2] not in GROWN or WORDS_FOUND in line:
        return False
    return table[1] == "SCAN" or (line.endswith("(account_id=?)") and not in_order)


LOOK = (
    "LOAD 'auto_explain'",
    "SET auto_explain.log_min_duration = 0",
    "SET auto_explain.log_analyze = on",
    "SET auto_explain.log_timing = off",
    "SET auto_explain.log_buffers = on",
    "SET auto_explain.log_format = json",
    "SET auto_explain.log_nested_statements = on",
    "SET client_min_messages = log",
)


class OnPostgres(PostgresTransaction):
    """A transaction that records the query plan of each statement, as the server logs it.

    `plans` is the server's `plan_cache_mode`: plans for these values, or plans for any values.
    """

    def __init__(self, address: str, made: dict[int, str], plans: str) -> None:
        super().__init__(connect(address, PLANS), {})
        self.seen: list[Seen] = []
        self.made = made
        self.said: list[dict[str, Any]] = []
        for text in (*LOOK, f"SET plan_cache_mode = {plans}"):
            self._link.execute(text)
        self._link.add_notice_handler(self.hear)

    def hear(self, notice: psycopg.errors.Diagnostic) -> None:
        _, brace, rest = (notice.message_primary or "").partition("{")
        self.said.append(json.loads(brace + rest))

    def close(self) -> None:
        self._link.close()

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        self.said.clear()
        found = super().rows(statement, values)
        said = self.said[-1]  # it follows the plans of functions that it calls
        tree = [one for each in reversed(self.said) for one in nodes_of(each["Plan"])]
        nodes = [node for _, node in tree]
        self.seen.append(
            Seen(
                maker=self.made.get(id(statement), ""),
                text=said["Query Text"],
                plan="\n".join(f"{' ' * deep}{shown(node)}" for deep, node in tree),
                cost=sum(map(touched, nodes)),
                scans=[shown(node) for node in nodes if is_scan_on_server(node)],
                sorts=any(node["Node Type"] == "Sort" for node in nodes),
                estimate=said["Plan"]["Total Cost"],
                buffers=sum(buffers(each["Plan"]) for each in self.said),
            )
        )
        return found


def is_scan_on_server(node: dict[str, Any]) -> bool:
    """Whether a node reads a whole table, or all words of an account."""
    if node["Node Type"] == "Seq Scan":
        return node["Relation Name"] in GROWN
    return node.get("Index Name") == "search_words_pkey" and "record_id" not in node["Index Cond"]


def nodes_of(plan: dict[str, Any], deep: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    yield deep, plan
    for inner in plan.get("Plans", ()):
        yield from nodes_of(inner, deep + 1)


def shown(node: dict[str, Any]) -> str:
    names = ("Node Type", "Relation Name", "Index Name", "Index Cond", "Filter")
    what = " ".join(str(node[name]) for name in names if name in node)
    return f"{what} (rows {node['Actual Rows']}, loops {node['Actual Loops']})"


def buffers(plan: dict[str, Any]) -> int:
    """The pages that a plan accessed, whether they were in memory or not."""
    return int(plan.get("Shared Hit Blocks", 0) + plan.get("Shared Read Blocks", 0))


def touched(node: dict[str, Any]) -> int:
    """The rows that a node read from a table or an index, including those it filtered out."""
    if "Relation Name" not in node and "Index Name" not in node:
        return 0
    removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
    each = node["Actual Rows"] + sum(node.get(name, 0) for name in removed)
    return round(each * node["Actual Loops"])
