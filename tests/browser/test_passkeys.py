"""Passkeys in a real browser, with Chromium's virtual authenticator."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from browser_fixtures import browser  # noqa: F401  a fixture
from browser_kit import ADMINISTRATOR, Site, chromium, in_ci, running_site
from playwright.sync_api import Browser, Page, expect

pytestmark = [
    pytest.mark.one_store,
    pytest.mark.skipif(not chromium() and not in_ci(), reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server at a host name, since browsers have no passkeys for IP addresses."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    folder = tmp_path_factory.mktemp("passkeys")
    with running_site(folder / "sample.sqlite3", browser, port) as running:
        yield running


@contextmanager
def at_localhost(site: Site) -> Iterator[Page]:
    with site.open(base_url=site.base.replace("127.0.0.1", "localhost")) as page:
        yield page


def with_device(page: Page, **how: object) -> None:
    """Add a virtual authenticator to the browser of the page.

    It confirms each request unless `how` says otherwise.
    """
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options | how})


def signed_in(page: Page, site: Site) -> None:
    page.goto("/sign-in")
    site.fill_sign_in(page, ADMINISTRATOR)
    page.wait_for_url("**/")


def test_a_passkey_is_made_used_after_the_password_and_then_alone(site: Site) -> None:
    with at_localhost(site) as page:
        with_device(page)
        signed_in(page, site)
        page.goto("/account/factors")
        page.get_by_label("Name, to tell it").fill("work laptop")
        page.get_by_role("button", name="Create a passkey").click()
        expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
        page.get_by_role("link", name="I have saved them").click()
        expect(page.locator("#factors")).to_contain_text("work laptop")

        page.get_by_role("button", name="Sign out", exact=True).click()
        site.fill_sign_in(page, ADMINISTRATOR)
        expect(page.get_by_role("heading", name="One more step")).to_be_visible()
        page.get_by_role("button", name="Use a passkey").click()
        page.wait_for_url("**/")

        page.get_by_role("button", name="Sign out", exact=True).click()
        page.get_by_role("button", name="Use a passkey").click()
        page.wait_for_url("**/")
        page.goto("/account")
        expect(page.get_by_text(ADMINISTRATOR).first).to_be_visible()

        page.goto("/account")
        page.get_by_role("button", name="Remove work laptop").click()
        expect(page.locator("#factors")).not_to_contain_text("work laptop")


def test_a_browser_without_the_passkey_says_so(site: Site) -> None:
    with at_localhost(site) as page:
        with_device(page)
        page.goto("/sign-in")
        page.get_by_role("button", name="Use a passkey").click()
        expect(page.locator("[data-passkey] .fault")).to_contain_text("Nothing was confirmed")
        site.fill_sign_in(page, ADMINISTRATOR)
        page.wait_for_url("**/")
