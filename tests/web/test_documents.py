"""PDF documents are made once for each content, two at a time, with bounded cache and a limit."""

import asyncio
import threading
import time
from dataclasses import dataclass

import pytest

from healthreports.core.errors import TooManyRequests
from healthreports.core.model import Instant, StatusReport, User, Workspace
from healthreports.core.vocabulary import Category, Color
from healthreports.exports import pdf
from healthreports.service.limits import MEMORY, Limits
from healthreports.web.kit.documents import Documents

THEN = Instant(1_700_000_000_000_000)
SPACE = Workspace(
    id=1,
    account_id=1,
    creator_id=1,
    title="W",
    description=None,
    archived=False,
    access_level="invitation",
    clients_see_status_reports=False,
    start_date=None,
    due_date=None,
    created_at=THEN,
    updated_at=THEN,
)
AUTHOR = User(
    id=1, account_id=1, full_name="U", email_address="u@x.org", headline=None, photo_path=None
)


def report(text: str) -> StatusReport:
    return StatusReport(
        id=1,
        account_id=1,
        workspace_id=1,
        creator_id=1,
        updater_id=None,
        color=Color.RED,
        description=text,
        details=(),
        created_at=THEN,
        updated_at=THEN,
    )


@dataclass
class Press:
    """Replaces the PDF renderer, and counts how often it runs and how many run at once."""

    drawn: int = 0
    at_once: int = 0
    most_at_once: int = 0
    fails: bool = False

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def draw(self, _space: object, one: StatusReport, *_others: object) -> bytes:
        with self._lock:
            self.drawn += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(0.02)
        with self._lock:
            self.at_once -= 1
        if self.fails:
            raise MemoryError
        return one.description.encode() * 100


@pytest.fixture
def press(monkeypatch: pytest.MonkeyPatch) -> Press:
    made = Press()
    monkeypatch.setattr(pdf, "of_report", made.draw)
    return made


def documents(per_minute: int = 1_000, **other: int) -> Documents:
    return Documents(Limits(MEMORY, 0, 0, per_minute), **other)


async def ask(of: Documents, *texts: str, hidden: tuple[Category, ...] = ()) -> list[bytes]:
    asked = (of.of_report("a", SPACE, report(text), AUTHOR, hidden) for text in texts)
    return await asyncio.gather(*asked)


def test_the_same_content_is_drawn_once_however_many_ask(press: Press) -> None:
    async def run() -> None:
        of = documents()
        assert await ask(of, *["one"] * 20) == [b"one" * 100] * 20
        await ask(of, "one")
        assert press.drawn == 1
        await ask(of, "one", hidden=(Category.BUDGET,))
        await ask(of, "another")
        assert press.drawn == 3

    asyncio.run(run())


def test_two_are_drawn_at_once(press: Press) -> None:
    asyncio.run(ask(documents(), *map(str, range(12))))
    assert (press.drawn, press.most_at_once) == (12, 2)


def test_what_is_kept_has_a_bound(press: Press) -> None:
    async def run() -> None:
        of = documents(kept_bytes=1_000)
        for _ in range(2):
            await ask(of, "a" * 9)
            await ask(of, "b" * 9)
        assert press.drawn == 4, "only one of them fits"
        await ask(of, "c" * 11)  # larger than the whole cache
        await ask(of, "b" * 9)
        assert press.drawn == 6

    asyncio.run(run())


def test_only_what_is_made_counts_for_the_limit(press: Press) -> None:
    async def run() -> None:
        of = documents(per_minute=2)
        for _ in range(5):
            await ask(of, "one")
        await ask(of, "two")
        with pytest.raises(TooManyRequests):
            await ask(of, "three")
        await ask(of, "one", "two")

    asyncio.run(run())
    assert press.drawn == 2


def test_what_fails_is_drawn_again(press: Press) -> None:
    async def run() -> None:
        of = documents()
        press.fails = True
        with pytest.raises(MemoryError):
            await ask(of, "one")
        press.fails = False
        assert await ask(of, "one") == [b"one" * 100]

    asyncio.run(run())


def test_who_goes_away_does_not_take_it_from_the_others(press: Press) -> None:
    async def run() -> None:
        of = documents()
        first = asyncio.ensure_future(ask(of, "one"))
        second = asyncio.ensure_future(ask(of, "one"))
        await asyncio.sleep(0.005)
        first.cancel()
        assert await second == [b"one" * 100]

    asyncio.run(run())
    assert press.drawn == 1
