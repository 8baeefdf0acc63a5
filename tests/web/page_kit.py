"""Reads pages as a browser does, and signs browsers in without the cost of a password check."""

import base64
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from html.parser import HTMLParser
from typing import Any, TypeVar

import httpx
import itsdangerous
from msgspec.structs import replace

from conftest import Account, Server
from healthreports.app import now
from healthreports.core.model import Detail, Instant, StatusReport, WorkspaceGroup
from healthreports.core.vocabulary import (
    DAY_US,
    Category,
    Color,
    ParticipationPermission,
    Side,
    Weekday,
)
from healthreports.service.auth import sign_in
from healthreports.service.auth.sessions import open_session
from healthreports.service.people import workspaces
from healthreports.store.people import accounts, groups
from healthreports.store.people import workspaces as stored_workspaces
from healthreports.store.reports import reports

T = TypeVar("T")

_VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}


@dataclass
class Node:
    """An element of a page."""

    tag: str
    attrs: dict[str, str]
    inside: "list[Node | str]" = field(default_factory=list)

    def walk(self) -> "Iterator[Node]":
        yield self
        for one in self.inside:
            if isinstance(one, Node):
                yield from one.walk()

    def all(self, tag: str, of: str = "", **attrs: str) -> "list[Node]":
        """The elements with that tag, the class `of`, and these attributes."""
        return [
            one
            for one in self.walk()
            if one.tag == tag
            and (not of or of in one.attrs.get("class", "").split())
            and all(one.attrs.get(name.rstrip("_")) == value for name, value in attrs.items())
        ]

    def one(self, tag: str, of: str = "", **attrs: str) -> "Node":
        [found] = self.all(tag, of, **attrs)
        return found

    @property
    def raw(self) -> str:
        return "".join(one if isinstance(one, str) else one.raw for one in self.inside)

    @property
    def text(self) -> str:
        return " ".join(self.raw.split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Node("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(node)
        if tag not in _VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        last = self.open.pop()
        assert last.tag == tag, f"<{last.tag}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def read(page: httpx.Response | str) -> Node:
    """Parse a page into a tree. Every element of it must be closed."""
    reader = _Reader()
    reader.feed(page if isinstance(page, str) else page.text)
    reader.close()
    assert reader.open == [reader.root], [one.tag for one in reader.open]
    return reader.root


def form_of(page: httpx.Response, action: str = "") -> Node:
    """The form for writing a report, or the form with that `action`."""
    tree = read(page)
    return tree.one("form", action=action) if action else tree.one("form", "write")


def fields_of(form: Node) -> dict[str, str]:
    """What a browser sends of a form that is submitted without a named button."""
    sent = {}
    for one in form.walk():
        if one.tag == "textarea":
            sent[one.attrs["name"]] = one.raw
        elif one.tag == "select":
            options = one.all("option")
            chosen = [option for option in options if "selected" in option.attrs] or options[:1]
            assert len(chosen) == 1, one.attrs["name"]
            sent[one.attrs["name"]] = chosen[0].attrs.get("value", chosen[0].text)
        elif one.tag == "input":
            kind = one.attrs.get("type", "text")
            if kind not in ("radio", "checkbox") or "checked" in one.attrs:
                sent[one.attrs["name"]] = one.attrs.get("value", "")
    return sent


def proof_of(at: httpx.Client) -> str:
    """The CSRF token in the forms of this session."""
    return read(at.get("/account")).one("form", action="/sign-out").one("input").attrs["value"]


def _date(ago: float) -> datetime:
    return datetime.fromtimestamp((now() - ago * DAY_US) // 1_000_000, UTC)


def day(ago: float = 0) -> str:
    """The day that many days ago, in UTC, as addresses and forms write it."""
    return f"{_date(ago):%Y-%m-%d}"


def short_day(ago: float = 0) -> str:
    """`day` as a page writes it if the year is clear."""
    found = _date(ago)
    return f"{found.day} {found:%b}"


def long_day(ago: float = 0) -> str:
    """`day` as a page writes it."""
    return f"{short_day(ago)} {_date(ago):%Y}"


def weekday(ago: float = 0) -> Weekday:
    """The day of the week that many days ago."""
    return tuple(Weekday)[_date(ago).weekday()]


@dataclass
class Site:
    """An account on a server, and the browsers of its users."""

    server: Server
    account: Account
    opened: list[httpx.Client] = field(default_factory=list)
    known: dict[str, httpx.Client] = field(default_factory=dict)
    _tx: Any = None
    # What `stored` read last, and the version of the database that it read.
    _seen: tuple[object, list[str]] = (None, [])

    def close(self) -> None:
        for one in self.opened:
            one.close()
        if "_reading" in vars(self):
            self._reading.close()

    def together(self, work: Callable[[], None]) -> None:
        """Run `work`, with all its writes in one transaction."""

        def in_one(tx: Any) -> None:
            self._tx = tx
            work()

        try:
            self.account.database.write_here(in_one)
        finally:
            self._tx = None

    def _write(self, work: Callable[[Any], T]) -> T:
        if self._tx is not None:
            return work(self._tx)
        return self.account.database.write_here(work)

    def stranger(self) -> httpx.Client:
        """A browser in which nobody is signed in."""
        self.opened.append(httpx.Client(base_url=self.server.base, timeout=30, verify=False))
        return self.opened[-1]

    def another(self, role: str) -> httpx.Client:
        """A new browser in which the user with that role is signed in."""
        at, user = self.stranger(), self.account.users[role]

        def work(tx: Any) -> tuple[str, str | None]:
            secret = open_session(tx, user, now())
            return secret, sign_in.known_signing_key(tx, "sessions")

        secret, key = self._write(work)
        assert key is not None
        content = base64.b64encode(json.dumps({"secret": secret}).encode())
        cookie = itsdangerous.TimestampSigner(key).sign(content).decode()
        at.cookies.set("healthreports", cookie, domain=at.base_url.host)
        return at

    def at(self, role: str = "administrator") -> httpx.Client:
        """The browser of the user with that role."""
        if role not in self.known:
            self.known[role] = self.another(role)
        return self.known[role]

    def page(self, address: str, role: str = "administrator", **params: str) -> Node:
        answer = self.at(role).get(address, params=params or None)
        assert answer.status_code == 200, answer.text
        return read(answer)

    def workspace(self, title: str, **changed: Any) -> int:
        """Make a workspace; `changed` may set values that the API does not allow."""
        creator = self.account.users["administrator"]

        def work(tx: Any) -> int:
            made = workspaces.make_workspace(tx, creator, title, now())
            if changed:
                self._change(tx, made, changed)
            return made

        return self._write(work)

    def change_workspace(self, workspace_id: int | str, **changed: Any) -> None:
        self._write(lambda tx: self._change(tx, int(workspace_id), changed))

    def _change(self, tx: Any, workspace_id: int, changed: dict[str, Any]) -> None:
        there = stored_workspaces.workspace(tx, self.account.id, workspace_id)
        assert there is not None
        stored_workspaces.replace_workspace(tx, there, replace(there, **changed))
        accounts.touch(tx, self.account.id)

    def join(
        self,
        workspace_id: int,
        role: str,
        permission: str = "view",
        side: Side = Side.PROVIDER,
        **more: bool,
    ) -> None:
        """Make the user with that role participate; `team_lead=True` makes the user the owner."""
        user, may = self.account.users[role], ParticipationPermission(permission)
        self._write(
            lambda tx: workspaces.join(tx, workspace_id, user, may, now(), side=side, **more)
        )

    def group(self, name: str, *workspace_ids: int | str, company: bool = True) -> int:
        """Make a client, or a programme, with these workspaces."""
        time = now()
        new = WorkspaceGroup(
            id=0,
            account_id=self.account.id,
            name=name,
            company=company,
            notes=None,
            contact_name=None,
            email=None,
            website=None,
            created_at=time,
            updated_at=time,
        )

        def work(tx: Any) -> int:
            made = groups.insert_group(tx, new)
            groups.put_workspaces(tx, made, tuple(map(int, workspace_ids)))
            return made.id

        return self._write(work)

    def report(
        self,
        workspace_id: int | str,
        color: str = "green",
        *,
        ago: float = 0,
        text: str = "All is well.",
        by: str = "editor",
        **details: str | tuple[str, str],
    ) -> int:
        """Store a report from `ago` days ago; `scope="red"` or `scope=("red", "Late.")`."""
        time = Instant(int(now() - ago * DAY_US))
        pairs = [
            (Category(name.capitalize()), (said, None) if isinstance(said, str) else said)
            for name, said in details.items()
        ]
        made = StatusReport(
            id=0,
            account_id=self.account.id,
            workspace_id=int(workspace_id),
            creator_id=self.account.users[by].id,
            updater_id=None,
            color=Color(color),
            description=text,
            details=tuple(
                Detail(category, Color(shade), words) for category, (shade, words) in pairs
            ),
            created_at=time,
            updated_at=time,
        )

        def work(tx: Any) -> int:
            [stored] = reports.insert(tx, self.account.id, [made])
            accounts.touch(tx, self.account.id)
            return stored.id

        return self._write(work)

    def stored(self, but: str = "search_words") -> list[str]:
        """Everything that the database holds (SQLite), except the table `but`.

        Refusals and times of last use are left out, since both are written later. It is read again
        only after a commit.
        """
        [(version,)] = self._reading.execute("PRAGMA data_version")
        if self._seen[0] != (version, but):
            # The word index stores no texts; its internal tables are among the others.
            tables = self._reading.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'search_words'"
            ).fetchall()
            found = [
                f"{name} {row}"
                for (name,) in sorted(tables)
                if name != but
                for row in self._reading.execute(_all_but_last_use(self._reading, name))
                if not (name == "audit_events" and ".refused'" in repr(row))
            ]
            self._seen = (version, but), found
        return self._seen[1]

    @cached_property
    def _reading(self) -> sqlite3.Connection:
        # SQLite says of one connection whether others have written since (`data_version`).
        return sqlite3.connect(f"file:{self.server.database}?mode=ro", uri=True)


def _all_but_last_use(opened: sqlite3.Connection, table: str) -> str:
    columns = [row[1] for row in opened.execute(f"PRAGMA table_info({table})")]
    return f"SELECT {', '.join(one for one in columns if one != 'last_used_at')} FROM {table}"
