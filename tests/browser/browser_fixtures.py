"""Fixtures: a browser, a server with the sample portfolio, and pages of signed-in users."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import pytest
from browser_kit import (
    ADMINISTRATOR,
    Site,
    Watched,
    chromium,
    launch,
    running_site,
)
from playwright.sync_api import Browser, Page, sync_playwright

Open = Callable[..., AbstractContextManager[Page]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert chromium(), "no Chromium on this machine"
    with sync_playwright() as playwright:
        launched = launch(playwright)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("browser") / "sample.sqlite3", browser) as running:
        yield running


@pytest.fixture
def watched() -> Iterator[Watched]:
    """The browsers of a test send requests only to this machine and report no errors."""
    seen = Watched()
    yield seen
    assert seen.elsewhere() == []
    assert seen.complaints == []


@pytest.fixture
def opened(site: Site, watched: Watched) -> Open:
    """A watched page of a new browser: `opened(who, **how)`."""
    return partial(site.open, watched=watched)


@pytest.fixture
def page(opened: Open) -> Iterator[Page]:
    """A page of the administrator's browser."""
    with opened(ADMINISTRATOR) as at:
        yield at
