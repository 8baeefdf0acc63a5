"""Attacks on second factors and on re-authentication.

The attacker is a stranger, knows a password, or sits at a browser that is signed in. Some attacks
send requests at the same moment, or malformed answers of passkeys.
"""

import asyncio
import base64
import html
import json
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count, product
from threading import Barrier, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cbor2
import httpx
import pyotp
import pytest
import webauthn  # noqa: F401  imported before time is measured
from argon2 import PasswordHasher
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from conftest import Account, Server, make_account
from healthreports.app import now, open_database
from healthreports.core.errors import Invalid, ProofNeeded, SignInRefused, Unauthenticated
from healthreports.core.model import Actor, Instant
from healthreports.core.vocabulary import (
    PROOF_LASTS_S,
    SECOND_US,
    AccountPermission,
    FactorDemand,
    FactorKind,
)
from healthreports.service.auth import applications, factors, tokens
from healthreports.service.auth.factors import SecondProof
from healthreports.service.auth.passkeys import (
    PasskeyChallenge,
    Passkeys,
    credential_in,
    new_challenge,
)
from healthreports.service.auth.second_step import SecondStep
from healthreports.service.auth.sessions import USUAL, Visitor, actor_of_session, let_in, who_waits
from healthreports.service.auth.sign_in import Identity, SignIn, set_password
from healthreports.service.limits import MEMORY, Limits
from healthreports.service.lookup import demand_recent_proof
from healthreports.service.people import accounts as people_accounts
from healthreports.service.people import members as people
from healthreports.settings import Settings
from healthreports.store.auth import credentials
from healthreports.store.auth import factors as stored
from healthreports.store.engine.database import Database
from healthreports.store.people import members as stored_members
from healthreports.store.schema.upgrade import upgrade
from raw import execute
from signin.authenticator import PRESENT, VERIFIED, WITH_KEY, Authenticator, decoded, encoded
from signin.visitor import Form, all_forms, browser, form_on, send_form, who_is_at

pytestmark = pytest.mark.one_store

ORIGIN = "http://localhost:8000"
PASSWORD = "correct horse battery"
REDIRECT = "https://app.example.org/cb"
# RFC 7636, appendix B.
CODE_CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
AT_ONCE = 3
# The largest cookie that a browser stores, including its name (RFC 6265, 6.1), in bytes.
MOST_COOKIE = 4_096
# Far more than any answer needs, and far less than one that expands when it is decoded.
MOST_CPU_S = 0.05
_numbers = count(1)


def elsewhere() -> str:
    """A new address, so that tests do not share a rate limit."""
    number = next(_numbers)
    return f"198.19.{number // 250}.{number % 250 + 1}"


@pytest.fixture(scope="module")
def hashed() -> str:
    return PasswordHasher().hash(PASSWORD)


@pytest.fixture(scope="module")
def site(address: str) -> Iterator[Server]:
    """A separate server for this module, at a host name where browsers allow passkeys."""
    settings = {"HEALTHREPORTS_TRUSTED_PROXIES": "127.0.0.1", "HEALTHREPORTS_PUBLIC_URL": ORIGIN}
    running = Server(address, settings).start()
    yield running
    errors = running.stop()
    assert "Traceback" not in errors, errors


@pytest.fixture(scope="module")
def site_database(site: Server) -> Iterator[Database]:
    with closing(open_database(Settings(database=str(site.database)))) as opened:
        yield opened


@dataclass
class Members:
    """The people of an account, who all have the same password, and their browsers."""

    server: Server
    database: Database
    account: Account
    stack: ExitStack

    def browser(self, like: httpx.Client | None = None) -> httpx.Client:
        """A new browser, without cookies or with the cookies of `like`."""
        opened = self.stack.enter_context(browser(self.server, elsewhere()))
        if like is not None:
            opened.cookies.update(like.cookies)
        return opened

    def user_id(self, role: str = "editor") -> int:
        return self.account.users[role].id

    def email(self, role: str = "editor") -> str:
        return self.account.users[role].email_address

    def give_totp(self, role: str = "editor", name: str = "phone") -> tuple[str, list[str]]:
        secret = factors.new_totp_secret()
        # It was set up with the code of the previous time step, so the current code is unused.
        before = Instant(now() - 30 * SECOND_US)
        made = factors.made_totp(name, secret, code_of(secret, -1), before)
        user = self.account.users[role]
        return secret, self.database.write_here(lambda tx: factors.store(tx, user, made, now()))

    def kept(self, role: str = "editor") -> list[FactorKind]:
        found = self.database.read_here(lambda tx: factors.of_user(tx, self.user_id(role)))
        return [one.kind for one in found]

    def demand(self, of: FactorDemand) -> None:
        self.database.write_here(lambda tx: factors.demand_of(tx, self.account.id, of))

    def age(self, seconds: float = PROOF_LASTS_S) -> None:
        """Move the last authentication of every session of the account into the past."""
        execute(
            self.server.database,
            "UPDATE sessions SET proven_at = proven_at - ? WHERE account_id = ?",
            int(seconds * SECOND_US),
            self.account.id,
        )

    def enter(self, at: httpx.Client, role: str = "editor", **fields: str) -> httpx.Response:
        """Sign in with the right password. Returns the page that follows."""
        page = at.get("/sign-in", params={"next": "/account", "another": ""})
        given = {"email_address": self.email(role), "password": PASSWORD, **fields}
        return send_form(at, page, "/sign-in", **given)

    def signed_in(self, role: str = "editor", code: str = "") -> httpx.Client:
        at = self.browser()
        page = self.enter(at, role)
        if code:
            page = send_form(at, page, "/sign-in/second", code=code)
        assert page.url.path == "/account", page.text
        return at

    def tokens(self, role: str = "editor") -> int:
        """How many personal tokens the user has."""
        user_id = self.user_id(role)
        return len(self.database.read_here(lambda tx: tokens.personal(tx, user_id)))


@pytest.fixture
def members(site: Server, site_database: Database, hashed: str) -> Iterator[Members]:
    with members_of(site, site_database, hashed) as made:
        yield made


@pytest.fixture
def neighbours(site: Server, site_database: Database, hashed: str) -> Iterator[Members]:
    """Another account."""
    with members_of(site, site_database, hashed) as made:
        yield made


@contextmanager
def members_of(server: Server, database: Database, hashed: str) -> Iterator[Members]:
    with ExitStack() as stack:
        account = make_account(server, database)
        stack.callback(account.close)
        for user in account.users.values():
            database.write_here(
                lambda tx, user=user: credentials.store_password(
                    tx, user.account_id, user.id, hashed, now()
                )
            )
        yield Members(server, database, account, stack)


def code_of(secret: str, steps: int = 0) -> str:
    """The code that an authenticator application shows, `steps` time steps from now."""
    return pyotp.TOTP(secret).generate_otp(int(time.time()) // 30 + steps)


def options_in(page: httpx.Response, what: str = "use") -> str:
    """The WebAuthn options that a page gives to an authenticator."""
    [found] = re.findall(rf'data-passkey="{what}"[^>]*data-options="([^"]*)"', page.text)
    return html.unescape(found)


def new_factor_form(page: httpx.Response, field: str) -> Form:
    [form] = [one for one in all_forms(page) if field in one.fields and "name" in one.fields]
    return form


def add_passkey(at: httpx.Client, device: Authenticator) -> httpx.Response:
    page = at.get("/account/factors")
    form = new_factor_form(page, "passkey")
    return at.post(
        form.action, data=form.fields | {"passkey": device.make(options_in(page, "make"))}
    )


def secret_on(page: httpx.Response) -> str:
    return re.search(r'<code class="secret">([A-Z2-7 ]+)</code>', page.text)[1].replace(" ", "")


def cookie_of(at: httpx.Client) -> dict[str, Any]:
    """The content of the session cookie, which is signed but not encrypted."""
    kept = at.cookies["healthreports"].partition(".")[0]
    return json.loads(base64.b64decode(kept))


def all_at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Start all calls at the same moment. Returns the result of each."""
    barrier = Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        barrier.wait(10)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [one.result(30) for one in [pool.submit(run, work) for work in works]]


def device_at(origin: str = ORIGIN, **lies: Any) -> Authenticator:
    return Authenticator(origin, **lies)


# Simultaneous requests


@pytest.mark.both_stores
@pytest.mark.parametrize("which", ["totp", "recovery"])
def test_one_code_finishes_one_of_many_sign_ins(members: Members, which: str) -> None:
    secret, codes = members.give_totp()
    code = code_of(secret) if which == "totp" else codes[0]
    browsers = [members.browser() for _ in range(AT_ONCE)]
    forms = [form_on(members.enter(at), "/sign-in/second") for at in browsers]
    pages = all_at_once(
        [
            lambda at=at, form=form: at.post(form.action, data=form.fields | {"code": code})
            for at, form in zip(browsers, forms, strict=True)
        ]
    )
    assert sorted(one.status_code for one in pages) == [200] + [401] * (AT_ONCE - 1)
    assert sum(who_is_at(at) is not None for at in browsers) == 1


@pytest.mark.both_stores
def test_one_answer_of_a_passkey_opens_one_session(members: Members) -> None:
    """Also with a passkey that has no signature counter, such as a synced passkey."""
    device = device_at()
    add_passkey(members.signed_in(), device)
    first = members.browser()
    page = first.get("/sign-in")
    device.counter = -1
    form = form_on(page, "/sign-in/passkey")
    sent = form.fields | {"passkey": device.use(options_in(page))}
    browsers = [members.browser(like=first) for _ in range(AT_ONCE)]
    pages = all_at_once([lambda at=at: at.post(form.action, data=sent) for at in browsers])
    assert sorted(one.status_code for one in pages) == [200] + [401] * (AT_ONCE - 1)


@pytest.mark.both_stores
def test_of_many_who_set_up_the_first_factor_one_gets_in(members: Members) -> None:
    """If several people who know the password set up a first factor, only one succeeds."""
    members.demand(FactorDemand.EVERYBODY)
    works, browsers = [], [members.browser() for _ in range(AT_ONCE)]
    for at in browsers:
        page = members.enter(at)
        form = new_factor_form(page, "code")
        sent = form.fields | {"code": code_of(secret_on(page))}
        works.append(lambda at=at, form=form, sent=sent: at.post(form.action, data=sent))
    pages = all_at_once(works)
    assert sum("Recovery codes" in one.text for one in pages) == 1
    assert members.kept() == [FactorKind.TOTP]
    assert sum(who_is_at(at) is not None for at in browsers) == 1


@pytest.mark.both_stores
def test_of_the_last_two_factors_one_stays_where_one_is_demanded(members: Members) -> None:
    secret, _ = members.give_totp()
    members.give_totp(name="tablet")
    members.demand(FactorDemand.EVERYBODY)
    at = members.signed_in(code=code_of(secret))
    page = at.get("/account")
    forms = [one for one in all_forms(page) if re.search(r"/factors/\d+/remove$", one.action)]
    assert len(forms) == 2
    browsers = [members.browser(like=at) for _ in forms]
    works = [
        lambda one=one, form=form: one.post(form.action, data=form.fields)
        for one, form in zip(browsers, forms, strict=True)
    ]
    assert sorted(one.status_code for one in all_at_once(works)) == [200, 422]
    assert members.kept() == [FactorKind.TOTP]
    assert who_is_at(at) == members.email()


@pytest.mark.both_stores
def test_who_signs_in_while_a_factor_becomes_demanded_is_not_in(members: Members) -> None:
    for _ in range(3):
        members.demand(FactorDemand.NOBODY)
        at = members.browser()
        form = form_on(at.get("/sign-in"), "/sign-in")
        sent = form.fields | {"email_address": members.email(), "password": PASSWORD}
        all_at_once(
            [
                lambda at=at, form=form, sent=sent: at.post(form.action, data=sent),
                lambda: members.demand(FactorDemand.EVERYBODY),
            ]
        )
        assert who_is_at(at) is None


@pytest.mark.both_stores
def test_one_passkey_is_added_to_one_of_two_accounts(members: Members, neighbours: Members) -> None:
    for _ in range(2):
        device, works = device_at(), []
        for at in (members.signed_in(), neighbours.signed_in()):
            page = at.get("/account/factors")
            form = new_factor_form(page, "passkey")
            sent = form.fields | {"passkey": device.make(options_in(page, "make"))}
            works.append(lambda at=at, form=form, sent=sent: at.post(form.action, data=sent))
        assert sorted(one.status_code for one in all_at_once(works)) == [200, 422]
        for one in (members, neighbours):
            one.database.write_here(
                lambda tx, one=one: factors.reset(tx, one.account.users["editor"])
            )


# Malformed answers of authenticators

PASSKEYS = Passkeys(ORIGIN)
LATER = Instant(10**15 + 1)
CHALLENGE = new_challenge(Instant(10**15))


def key_of(device: Authenticator, **changed: object) -> dict[int, object]:
    numbers = device.key.public_key().public_numbers()
    key: dict[int, object] = {1: 2, 3: -7, -1: 1}
    key |= {-2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
    return key | {int(name.replace("_", "-")): one for name, one in changed.items()}


def data_of(device: Authenticator, flags: int, rest: bytes = b"") -> bytes:
    """The authenticator data; `rest` is the attested key data or the extensions."""
    hashed = sha256(device.rp_id.encode()).digest()
    return hashed + bytes([PRESENT | VERIFIED | flags]) + device.counter.to_bytes(4) + rest


def answer_of(device: Authenticator, kind: str, **response: bytes) -> str:
    client = {"type": kind, "challenge": CHALLENGE.text, "origin": device.origin}
    name = encoded(device.credential_id[:32])
    said = {"clientDataJSON": encoded(json.dumps(client).encode())}
    said |= {what: encoded(one) for what, one in response.items()}
    return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": said})


def made_with(  # noqa: PLR0917  each part of an answer can be forged
    key: bytes | None = None,
    statement: bytes = b"\xa0",
    kind: str = "none",
    extensions: bytes = b"",
    credential_id: bytes = b"c" * 32,
    data: bytes | None = None,
) -> str:
    """The answer of an authenticator that creates a passkey, from arbitrary parts."""
    device = device_at(credential_id=credential_id)
    key = cbor2.dumps(key_of(device)) if key is None else key
    named = len(credential_id).to_bytes(2) + credential_id
    flags = WITH_KEY | (0x80 if extensions else 0)
    whole = data_of(device, flags, bytes(16) + named + key + extensions) if data is None else data
    parts = (cbor2.dumps("fmt"), cbor2.dumps(kind), cbor2.dumps("attStmt"), statement)
    attestation = b"\xa3" + b"".join(parts) + cbor2.dumps("authData") + cbor2.dumps(whole)
    return answer_of(device, "webauthn.create", attestationObject=attestation)


def used_with(rest: bytes, flags: int) -> str:
    """The answer of an authenticator that uses a passkey.

    Anybody who knows the id of the passkey can send it.
    """
    data = data_of(device_at(), flags, rest)
    return answer_of(device_at(), "webauthn.get", authenticatorData=data, signature=b"s" * 64)


def is_made(answer: str) -> bool:
    try:
        PASSKEYS.made(answer, CHALLENGE, LATER)
    except Invalid:
        return False
    return True


def is_used(answer: str, key: bytes | None = None) -> bool:
    key = cbor2.dumps(key_of(device_at())) if key is None else key
    return PASSKEYS.used(answer, CHALLENGE, encoded(key), 0, LATER) is not None


def test_the_answers_that_the_attacks_change_are_right() -> None:
    assert is_made(made_with())
    device = device_at()
    asked = PASSKEYS.to_use((), CHALLENGE)
    assert is_used(device.use(asked), cbor2.dumps(key_of(device)))


def growing(width: int, levels: int = 7) -> bytes:
    """A few hundred bytes of CBOR that expand to `width` to the power of `levels` elements.

    Each list contains the previous list `width` times, by tags 28 and 29.
    """
    lists = [
        b"\xd8\x1c" + bytes([0x80 + width]) + (b"\xd8\x1d" + bytes([before])) * width
        for before in range(levels - 1)
    ]
    lists.insert(0, b"\xd8\x1c\x81\x00")
    return bytes([0x80 + levels]) + b"".join(lists)


def statement_of(**parts: bytes) -> bytes:
    return bytes([0xA0 + len(parts)]) + b"".join(
        cbor2.dumps(name) + one for name, one in parts.items()
    )


GROWING: dict[str, Callable[[], bool]] = {
    "in the key": lambda: is_made(made_with(key=growing(8))),
    "in the extensions of a new passkey": lambda: is_made(made_with(extensions=growing(11))),
    "in an attestation of none": lambda: is_made(made_with(statement=statement_of(x5c=growing(8)))),
    "in the algorithm of an attestation": lambda: is_made(
        made_with(kind="packed", statement=statement_of(sig=b"\x41s", alg=growing(12)))
    ),
    "in the extensions, before the signature is looked at": lambda: is_used(
        used_with(growing(11), 0x80)
    ),
}


@pytest.mark.parametrize("try_it", GROWING.values(), ids=GROWING)
def test_an_answer_that_grows_when_it_is_read_costs_nothing(try_it: Callable[[], bool]) -> None:
    begun = time.process_time()
    assert not try_it()
    assert time.process_time() - begun < MOST_CPU_S


# CBOR that no authenticator sends (CTAP2, 8: no tags, no indefinite lengths).
ODD_CBOR = {
    "more bytes than there are": b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "two GB of bytes": b"\x5a\x7f\xff\xff\xff",
    "two GB of text": b"\x7a\x7f\xff\xff\xff",
    "an array of very many": b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "a billion elements": b"\x9a\x3f\xff\xff\xff",
    "a billion pairs": b"\xba\x3f\xff\xff\xff",
    "levels": b"\x81" * 8_000 + b"\x00",
    "a list of itself": b"\xd8\x1c\x81\xd8\x1d\x00",
    "a big float": b"\xc5\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",
    "a big fraction": b"\xc4\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",
    "a fraction of nothing": b"\xd8\x1e\x82\x01\x00",
    "a number of 8,000 bytes": b"\xc2\x59\x1f\x40" + b"\xff" * 8_000,
    "a moment after the end of time": b"\xc1\x1b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "an expression": b"\xd8\x23\x78\x28" + b"(" * 40,
    "not a number": b"\xf9\x7e\x00",
    "undefined": b"\xf7",
    "a tag of nobody": b"\xd9\xff\xff\x01",
    "nothing": b"",
}


@pytest.mark.parametrize("odd", ODD_CBOR.values(), ids=ODD_CBOR)
def test_odd_cbor_is_refused_at_once_wherever_it_stands(odd: bytes) -> None:
    begun = time.process_time()
    signed = b"\x41s"
    for answer in (
        made_with(key=odd),
        made_with(key=b"\xa5\x01" + odd + b"\x03\x26\x20\x01\x21\x41x\x22\x41y"),
        made_with(key=b"\xa5\x01\x02\x03" + odd + b"\x20\x01\x21\x41x\x22\x41y"),
    ):
        assert not is_made(answer)
    for answer in (  # an unread part: accepted or refused, but quickly
        made_with(statement=odd, kind="packed"),
        made_with(statement=statement_of(sig=signed, alg=odd), kind="packed"),
        made_with(statement=statement_of(sig=signed, alg=b"\x26", x5c=odd), kind="packed"),
    ):
        is_made(answer)
    assert not is_used(used_with(odd, WITH_KEY))
    assert not is_used(used_with(odd, 0x80))
    assert time.process_time() - begun < 10 * MOST_CPU_S


def certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    made = made.not_valid_before(datetime(2020, 1, 1)).not_valid_after(datetime(2040, 1, 1))  # noqa: DTZ001  x509 takes times without a zone
    return made.public_key(key.public_key()).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


OID_OF_KEYS, OID_OF_CURVE = bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("2a8648ce3d030107")
CERTIFICATES: dict[str, tuple[bytes, bytes]] = {
    "of a version that there is not": (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07"),
    "of a key of an unknown kind": (OID_OF_KEYS, OID_OF_KEYS[:-1] + b"\x09"),
    "of an unknown curve": (OID_OF_CURVE, OID_OF_CURVE[:-1] + b"\x0f"),
}


@pytest.mark.parametrize("kind", ["packed", "fido-u2f"])
@pytest.mark.parametrize(("right", "wrong"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_a_certificate_that_cannot_be_read_is_not_read(
    right: bytes, wrong: bytes, kind: str
) -> None:
    changed = certificate().replace(right, wrong)
    statement = cbor2.dumps({"alg": -7, "sig": b"s", "x5c": [changed]})
    assert is_made(made_with(statement=statement, kind=kind))  # the key itself is right


ALGORITHMS: dict[str, dict[int, object]] = {
    "RS1": {1: 3, 3: -65535, -1: b"\xc1" * 256, -2: b"\x01\x00\x01"},
    "PS256": {1: 3, 3: -37, -1: b"\xc1" * 256, -2: b"\x01\x00\x01"},
    "ES512": {1: 2, 3: -36, -1: 3, -2: b"x" * 66, -3: b"y" * 66},
    "ES384": {1: 2, 3: -35, -1: 2, -2: b"x" * 48, -3: b"y" * 48},
    "ES256K": {1: 2, 3: -47, -1: 8, -2: b"x" * 32, -3: b"y" * 32},
    "HMAC": {1: 4, 3: 5, -1: b"k" * 32},
    "none": {1: 2, 3: 0, -1: 1, -2: b"x" * 32, -3: b"y" * 32},
}


@pytest.mark.parametrize("key", ALGORITHMS.values(), ids=ALGORITHMS)
def test_keys_of_other_algorithms_are_not_taken(key: dict[int, object]) -> None:
    assert not is_made(made_with(key=cbor2.dumps(key)))


ODD_KEYS: dict[str, object] = {
    "another curve": {1: 2, 3: -7, -1: 3, -2: b"x", -3: b"y"},
    "not on the curve": {1: 2, 3: -7, -1: 1, -2: b"x" * 32, -3: b"y" * 32},
    "RSA that says elliptic": {1: 3, 3: -7, -1: b"\xc1" * 256, -2: b"\x03"},
    "elliptic that says RSA": {1: 2, 3: -257, -1: 1, -2: b"x" * 32, -3: b"y" * 32},
    "a modulus of 8,000 bytes": {1: 3, 3: -257, -1: b"\xc1" * 8_000, -2: b"\xc1" * 4_000},
    "an even exponent": {1: 3, 3: -257, -1: b"\xc1" * 256, -2: b"\x02"},
    "texts": {1: 1, 3: -8, -1: 6, -2: "x"},
    "a point of small order": {1: 1, 3: -8, -1: 6, -2: bytes(32)},
    "a number": 4,
    "a list": [1, 2, 3],
}


@pytest.mark.parametrize("key", ODD_KEYS.values(), ids=ODD_KEYS)
def test_a_key_that_is_none_signs_nothing(key: object) -> None:
    assert not is_used(used_with(b"", 0), cbor2.dumps(key))


VALUES: tuple[object, ...] = (
    None, True, 0, -1, 1.5, 10**400, "", "x", "\ud800", "é", "A" * 5_000, [], {}, [[]], {"a": {}},
)  # fmt: skip


def changed(value: object, luck: random.Random) -> object:
    """A JSON value with one part changed, left out or added."""
    if not isinstance(value, dict) or not value or luck.random() < 0.2:
        return luck.choice(VALUES)
    name = luck.choice(list(value))
    choice = luck.random()
    if choice < 0.15:
        return {one: two for one, two in value.items() if one != name}
    if choice < 0.25:
        return {**value, str(luck.choice(VALUES)): luck.choice(VALUES)}
    if isinstance(value[name], str) and choice < 0.6:
        raw = bytearray(decoded(value[name])) if len(value[name]) % 4 != 1 else bytearray(b"?")
        place = luck.randrange(len(raw) + 1)
        what = luck.random()
        if what < 0.4:
            raw[place : place + 1] = luck.randbytes(1)
        elif what < 0.7:
            del raw[place:]
        else:
            raw[place:place] = luck.randbytes(luck.choice((1, 4, 40)))
        return {**value, name: encoded(bytes(raw))}
    return {**value, name: changed(value[name], luck)}


def test_an_answer_with_something_changed_is_read_or_refused_and_never_more() -> None:
    luck = random.Random(16)
    device = device_at()
    key = encoded(cbor2.dumps(key_of(device)))
    made = json.loads(made_with())
    used = json.loads(device.use(PASSKEYS.to_use((), CHALLENGE)))
    for _ in range(1_500):
        sent = json.dumps(changed(made, luck))
        is_made(sent)
        credential_in(sent)
        sent = json.dumps(changed(used, luck))
        credential_in(sent)
        PASSKEYS.used(sent, CHALLENGE, key, 0, LATER)


def test_what_the_browser_signs_cannot_be_changed_at_all() -> None:
    device = device_at()
    answer = json.loads(device.use(PASSKEYS.to_use((), CHALLENGE)))
    key = cbor2.dumps(key_of(device))
    assert is_used(json.dumps(answer), key)
    for name in ("clientDataJSON", "authenticatorData", "signature"):
        raw = decoded(answer["response"][name])
        for place in range(len(raw)):
            other = bytearray(raw)
            other[place] ^= 1
            sent = {**answer, "response": {**answer["response"], name: encoded(bytes(other))}}
            assert not is_used(json.dumps(sent), key), (name, place)


SENT = {
    "an empty object": "{}",
    "levels": '{"id":' * 2_000 + "1" + "}" * 2_000,
    "a huge number": '{"id": ' + "9" * 19_000 + "}",
    "no text": "\x00",
    "a lone surrogate": '{"id": "\\ud800", "rawId": "\\ud800", "type": "public-key"}',
    "levels of CBOR": made_with(key=b"\x81" * 7_000),
    "a key cut off": made_with(key=b"\xa5\x01"),
    "data cut off": made_with(data=b"x" * 36),
    "no key": made_with(data=b"x" * 32 + b"\x45" + bytes(4)),
}


def test_a_server_refuses_what_is_no_answer_wherever_one_is_asked_for(members: Members) -> None:
    add_passkey(members.signed_in(), device_at())
    half, inside = members.browser(), members.signed_in("administrator")
    for sent in SENT.values():
        page = half.get("/sign-in")
        assert send_form(half, page, "/sign-in/passkey", passkey=sent).status_code == 401
        page = inside.get("/account/factors")
        form = new_factor_form(page, "passkey")
        challenge = json.loads(options_in(page, "make"))["challenge"]
        client = {"type": "webauthn.create", "challenge": challenge, "origin": ORIGIN}
        if "response" in sent:
            answer = json.loads(sent)
            answer["response"]["clientDataJSON"] = encoded(json.dumps(client).encode())
            sent = json.dumps(answer)  # noqa: PLW2901  the same answer, with this page's challenge
        assert inside.post(form.action, data=form.fields | {"passkey": sent}).status_code == 422
    page = members.enter(half)
    for sent in list(SENT.values())[:8]:
        assert send_form(half, page, "/sign-in/second", passkey=sent).status_code == 401


@pytest.mark.parametrize("length", [1_024, 4_000])
def test_a_passkey_with_a_longer_id_than_there_is_is_not_taken(length: int) -> None:
    """At most 1,023 bytes (Web Authentication, level 3, 7.1)."""
    assert not is_made(made_with(credential_id=random.Random(length).randbytes(length)))


# A sign-in after its password and before its second factor

PAGES = ("/", "/account", "/account/factors", "/developers", "/settings", "/people", "/search")
PAGES += ("/workspaces/new", "/account/applications", "/audit", "/oauth/authorize", "/cadence")


def test_half_a_sign_in_shows_no_page(members: Members) -> None:
    members.give_totp("administrator")
    at = members.browser()
    members.enter(at, "administrator")
    assert "half" in cookie_of(at)
    assert {path: at.get(path).url.path for path in PAGES} == dict.fromkeys(PAGES, "/sign-in")


def test_half_a_session_and_a_whole_one_are_never_taken_for_each_other(members: Members) -> None:
    secret, _ = members.give_totp()
    at = members.browser()
    members.enter(at)
    half = cookie_of(at)["half"]
    whole = cookie_of(members.signed_in(code=code_of(secret)))["secret"]
    read = members.database.read_here
    with pytest.raises(Unauthenticated):
        read(lambda tx: actor_of_session(tx, half, now()))
    with pytest.raises(Unauthenticated):
        read(lambda tx: who_waits(tx, whole, now()))
    for one in (half, whole):
        with members.server.client(one) as client:
            assert client.get("/users/me").status_code == 401
            client.cookies.update(at.cookies)
            assert client.get("/users/me").status_code == 401


def test_half_a_sign_in_is_finished_once(members: Members) -> None:
    secret, codes = members.give_totp()
    at = members.browser()
    page = members.enter(at)
    before = members.browser(like=at)
    assert send_form(at, page, "/sign-in/second", code=code_of(secret)).url.path == "/account"
    page = send_form(before, page, "/sign-in/second", code=codes[0])
    assert page.url.path == "/sign-in"
    assert who_is_at(before) is None


def another_password(members: Members) -> None:
    user = members.account.users["editor"]
    new = "an entirely new horse, too"
    members.database.write_here(lambda tx: set_password(tx, user, new, now()))


def is_disabled(members: Members) -> None:
    user = members.account.users["editor"]
    members.database.write_here(lambda tx: people.disable(tx, user, now(), disabled=True))


@pytest.mark.parametrize("meanwhile", [another_password, is_disabled])
def test_half_a_sign_in_ends_with_what_it_began_with(
    members: Members, meanwhile: Callable[[Members], None]
) -> None:
    secret, _ = members.give_totp()
    at = members.browser()
    page = members.enter(at)
    meanwhile(members)
    page = send_form(at, page, "/sign-in/second", code=code_of(secret))
    assert page.url.path == "/sign-in"


def test_the_way_to_set_one_up_asks_for_a_password_first(members: Members) -> None:
    members.demand(FactorDemand.EVERYBODY)
    at = members.browser()
    fields = form_on(at.get("/sign-in"), "/sign-in").fields
    own = factors.new_totp_secret()
    sent = {"csrf": fields["csrf"], "code": code_of(own), "totp": own}
    assert at.post("/sign-in/second/new", data=sent).url.path == "/sign-in"
    assert members.kept() == []


ELSEWHERE = ("//evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)")
ELSEWHERE += ("/\t/evil.example", "\\\\evil.example", " //evil.example", "/%5c\\evil.example", "")


def test_after_the_second_factor_one_comes_to_a_page_of_ours(members: Members) -> None:
    _, codes = members.give_totp()
    for wanted in ELSEWHERE[:3]:
        at = members.browser()
        form = form_on(members.enter(at), "/sign-in/second")
        for named in ELSEWHERE:
            shown = at.get("/sign-in/second", params={"next": named})
            assert form_on(shown, "/sign-in/second").fields["next"] == "/"
        sent = form.fields | {"next": wanted, "code": codes.pop()}
        answer = at.post(form.action, data=sent, follow_redirects=False)
        assert answer.headers["location"] == "/"


def test_after_the_first_factor_is_set_up_one_comes_to_a_page_of_ours(members: Members) -> None:
    members.demand(FactorDemand.EVERYBODY)
    at = members.browser()
    page = members.enter(at)
    form = new_factor_form(page, "code")
    sent = form.fields | {"next": "//evil.example", "code": code_of(secret_on(page))}
    codes = at.post(form.action, data=sent)
    assert "evil" not in codes.text


FORGED = ("/sign-in/second", "/sign-in/second/new", "/sign-in/passkey", "/account/factors")
FORGED += ("/account/factors/codes", "/settings/second-factor")


@pytest.mark.parametrize(
    "proof", [{}, {"csrf": ""}, {"csrf": "x" * 43}], ids=["no", "blank", "own"]
)
def test_a_form_of_another_site_does_nothing(members: Members, proof: dict[str, str]) -> None:
    """Even if it knows every other field."""
    secret, _ = members.give_totp("administrator")
    inside = members.signed_in("administrator", code_of(secret))
    half = members.browser()
    members.enter(half, "administrator")
    for at, path in product((inside, half), FORGED):
        sent = {"code": secret, "second_factor": "everybody", **proof}
        answer = at.post(path, data=sent, follow_redirects=False)
        assert answer.status_code in (303, 400, 403, 422), answer.text
        assert not answer.headers.get("location", "/sign-in").startswith(("/account", "/settings"))
    assert members.kept("administrator") == [FactorKind.TOTP]


def test_a_passkey_signs_in_to_its_own_account_alone(members: Members, neighbours: Members) -> None:
    """A person in two accounts cannot use the passkey of one as second factor in the other."""
    own, other = device_at(), device_at()
    add_passkey(members.signed_in(), own)
    add_passkey(neighbours.signed_in(), other)
    at = members.browser()
    page = neighbours.enter(at)
    asked = json.loads(options_in(page))
    assert [one["id"] for one in asked["allowCredentials"]] == [encoded(other.credential_id)]
    page = send_form(at, page, "/sign-in/second", passkey=own.use(json.dumps(asked)))
    assert page.status_code == 401
    # It claims the id of the other passkey, but signs with its own key.
    own.credential_id = other.credential_id
    page = send_form(at, page, "/sign-in/second", passkey=own.use(options_in(page)))
    assert page.status_code == 401
    assert who_is_at(at) is None


# Re-authentication


def token_form(at: httpx.Client) -> Form:
    form = form_on(at.get("/developers"), "/developers/tokens")
    return Form(form.action, form.fields | {"name": "mine", "days": "7"})


TRICKS: dict[str, Callable[[httpx.Client, Form], httpx.Response]] = {
    "nothing": lambda at, form: at.post(form.action, data=form.fields),
    "GET": lambda at, form: at.get(form.action, params=form.fields),
    "HEAD": lambda at, form: at.head(form.action, params=form.fields),
    "PUT": lambda at, form: at.put(form.action, data=form.fields),
    "another method in a header": lambda at, form: at.get(
        form.action, params=form.fields, headers={"x-http-method-override": "POST"}
    ),
    "a blank password": lambda at, form: at.post(
        form.action, data=form.fields | {"proof_password": ""}
    ),
    "a blank passkey": lambda at, form: at.post(
        form.action, data=form.fields | {"proof_passkey": "", "proof_code": "0"}
    ),
    "a passkey that is none": lambda at, form: at.post(
        form.action, data=form.fields | {"proof_passkey": "{}", "proof_password": PASSWORD[:-1]}
    ),
    "the code that was used": lambda at, form: at.post(
        form.action, data=form.fields | {"proof_": "yes", "proven_at": str(now())}
    ),
    "what a part of a page says": lambda at, form: at.post(
        form.action, data=form.fields, headers={"hx-request": "true"}
    ),
    "in the address": lambda at, form: at.post(
        f"{form.action}?proof_password={PASSWORD}&again=yes", data=form.fields
    ),
    "the password twice, the last one wrong": lambda at, form: at.post(
        form.action,
        content=f"csrf={form.fields['csrf']}&name=x&days=7&proof_password={PASSWORD}"
        "&proof_password=x",
        headers={"content-type": "application/x-www-form-urlencoded"},
    ),
    "no field that tells it from others": lambda at, form: at.post(
        form.action, data={**form.fields, "once": ""}
    ),
}


@pytest.fixture(scope="module")
def open_browser(
    site: Server, site_database: Database, hashed: str
) -> Iterator[tuple[Members, httpx.Client]]:
    """A browser whose last authentication is too old, and its account."""
    with members_of(site, site_database, hashed) as made:
        at = made.signed_in()
        made.age()
        yield made, at


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
def test_no_trick_takes_the_place_of_a_proof(
    open_browser: tuple[Members, httpx.Client],
    trick: Callable[[httpx.Client, Form], httpx.Response],
) -> None:
    members, at = open_browser
    answer = trick(at, token_form(at))
    assert answer.status_code < 500
    assert members.tokens() == 1  # the token of the fixture
    assert "Your new token" not in answer.text


def test_what_was_sent_before_shows_nothing_and_makes_nothing_without_a_proof(
    members: Members,
) -> None:
    at = members.signed_in()
    form = token_form(at)
    assert "Your new token" in at.post(form.action, data=form.fields).text
    made = members.tokens()
    members.age()
    assert "hr_" not in at.post(form.action, data=form.fields).text
    other = at.post(form.action, data=form.fields | {"name": "another"})
    assert "Confirm that it is you" in other.text
    assert members.tokens() == made


def test_a_proof_is_good_once_and_for_some_minutes(members: Members) -> None:
    """A form sent a second time with the same code is refused: the code is used up."""
    secret, _ = members.give_totp()
    at = members.signed_in(code=code_of(secret))
    execute(members.server.database, "UPDATE factors SET counter = 0")
    form = token_form(at)
    members.age()
    sent = form.fields | {"proof_code": code_of(secret)}
    assert "Your new token" in at.post(form.action, data=sent).text
    made = members.tokens()
    members.age()
    again = at.post(form.action, data=sent | {"once": "another"})
    assert again.status_code == 422
    assert members.tokens() == made


def test_a_proof_in_one_account_is_none_in_another_of_the_same_browser(
    members: Members, neighbours: Members
) -> None:
    at = members.signed_in()
    first = cookie_of(at)["account"]
    neighbours.enter(at, account="")
    members.age()
    neighbours.age()
    form = token_form(at)
    sent = form.fields | {"proof_password": PASSWORD}
    assert "Your new token" in at.post(form.action, data=sent).text
    page = at.get("/sign-in", params={"another": ""})
    [switch] = [one for one in all_forms(page) if one.action.endswith("/switch")]
    at.post(switch.action, data=switch.fields | {"account": first})
    assert who_is_at(at) == members.email()
    form = token_form(at)
    assert "Confirm that it is you" in at.post(form.action, data=form.fields).text
    assert members.tokens() == 1  # the token of the fixture


def test_guesses_at_a_proof_end(members: Members) -> None:
    secret, codes = members.give_totp()
    at = members.signed_in(code=code_of(secret))
    form = token_form(at)
    members.age()
    answers = [
        at.post(form.action, data=form.fields | {"proof_code": f"{number:06}"}).status_code
        for number in range(11)
    ]
    assert answers == [422] * 10 + [429]
    right = at.post(form.action, data=form.fields | {"proof_code": codes[0]})
    assert right.status_code == 429


def test_nobody_demands_a_factor_without_a_proof_or_without_the_right(members: Members) -> None:
    secret, _ = members.give_totp("administrator")
    inside = members.signed_in("administrator", code_of(secret))
    csrf = form_on(inside.get("/settings"), "/settings/second-factor").fields["csrf"]
    members.age()
    sent = {"csrf": csrf, "second_factor": "everybody"}
    assert "Confirm that it is you" in inside.post("/settings/second-factor", data=sent).text
    editor = members.signed_in()
    sent["csrf"] = cookie_of(editor)["csrf"]
    assert editor.post("/settings/second-factor", data=sent).status_code == 403
    demanded = members.database.read_here(lambda tx: factors.demanded_of(tx, members.account.id))
    assert demanded is FactorDemand.NOBODY


def test_letting_somebody_back_in_asks_for_a_proof(members: Members) -> None:
    viewer = members.account.users["viewer"]
    members.database.write_here(lambda tx: people.disable(tx, viewer, now(), disabled=True))
    membership = members.database.read_here(lambda tx: stored_members.membership(tx, viewer.id)).id
    at = members.signed_in("administrator")
    page = at.get("/people")
    [action] = [
        one.action for one in all_forms(page) if one.action.endswith(f"/memberships/{membership}")
    ]
    form = form_on(page, action)
    members.age()
    sent = {"csrf": form.fields["csrf"], "permission": "collaborator"}
    assert "Confirm that it is you" in at.post(action, data=sent).text


def test_letting_an_application_act_asks_for_a_proof(members: Members) -> None:
    administrator = members.account.users["administrator"]
    made, _ = members.database.write_here(
        lambda tx: applications.register(
            tx, administrator, now(), name="x", redirect_uris=(REDIRECT,), confidential=False
        )
    )
    asked = {"response_type": "code", "client_id": made.client_id, "redirect_uri": REDIRECT}
    asked |= {"code_challenge": CODE_CHALLENGE, "code_challenge_method": "S256"}
    at = members.signed_in()
    members.age()
    page = at.get("/oauth/authorize", params=asked)
    assert "Confirm that it is you" in page.text
    [form] = [one for one in all_forms(page) if "/sign-in/again" in one.action]
    sent = {"csrf": form.fields["csrf"], "decision": "allow"}
    answer = at.post("/oauth/authorize", params=asked, data=sent, follow_redirects=False)
    assert urlsplit(answer.headers["location"]).path == "/oauth/authorize"
    assert "code" not in parse_qs(urlsplit(answer.headers["location"]).query)
    # After re-authentication the consent page is shown.
    page = at.post(form.action, data=form.fields | {"proof_password": PASSWORD})
    assert page.url.path == "/oauth/authorize"
    [form] = [one for one in all_forms(page) if "/oauth/authorize" in one.action]
    answer = at.post(form.action, data=form.fields | {"decision": "allow"}, follow_redirects=False)
    assert "code" in parse_qs(urlsplit(answer.headers["location"]).query)


def limits() -> Limits:
    return Limits(MEMORY, 0, 0)


def link(members: Members, subject: str, role: str = "editor") -> Identity:
    """Link a user to an identity of a provider. Returns the identity."""
    user = members.account.users[role]
    members.database.write_here(
        lambda tx: credentials.insert_identity(
            tx, user.account_id, user.id, "https://provider.example", subject, now()
        )
    )
    return Identity("https://provider.example", subject)


def actor_by(members: Members, secret: str) -> Actor:
    return members.database.read_here(lambda tx: actor_of_session(tx, secret, now()))


def test_a_provider_that_asked_nobody_proves_nothing(members: Members) -> None:
    who = link(members, "silent")
    with closing(SignIn(members.database, now, limits())) as sign_in:
        opened = asyncio.run(sign_in.with_identity(who, Visitor("192.0.2.1")))
    with pytest.raises(ProofNeeded):
        demand_recent_proof(actor_by(members, opened.secret), now())


def test_who_has_a_second_factor_does_not_confirm_without_one(members: Members) -> None:
    members.give_totp()
    who = link(members, "first factor alone")
    user = members.account.users["editor"]
    opened = members.database.write_here(
        lambda tx: let_in(tx, user, now(), Visitor("192.0.2.1"), USUAL, FactorKind.TOTP)
    )
    members.age()
    with closing(SignIn(members.database, now, limits())) as sign_in:
        second = SecondStep(members.database, now, limits(), sign_in, PASSKEYS)
        with pytest.raises(SignInRefused):
            asyncio.run(second.prove_again_by_identity(opened.secret, who))


def test_where_the_provider_is_the_only_way_in_a_passkey_is_none(members: Members) -> None:
    device = device_at()
    add_passkey(members.signed_in(), device)
    challenge = new_challenge(now())
    answer = SecondProof(passkey=device.use(PASSKEYS.to_use((), challenge)), challenge=challenge)
    with closing(SignIn(members.database, now, limits(), passwords=False)) as sign_in:
        second = SecondStep(members.database, now, limits(), sign_in, PASSKEYS)
        with pytest.raises(SignInRefused):
            asyncio.run(second.with_passkey(answer, Visitor("192.0.2.1")))


def test_no_quick_hash_of_a_password_is_kept(members: Members) -> None:
    at = members.signed_in()
    form = token_form(at)
    members.age()
    at.post(form.action, data=form.fields | {"proof_password": PASSWORD})
    fields = {**form.fields, "proof_password": PASSWORD}
    said = sorted((name, one) for name, one in fields.items() if name not in ("csrf", "once"))
    guess = sha256(repr(said).encode()).hexdigest()
    kept = execute(members.server.database, "SELECT fingerprint FROM idempotency_keys")
    assert kept
    assert (guess,) not in kept


# Adding and removing


def test_a_secret_that_was_shown_once_is_not_set_up_later(members: Members) -> None:
    at = members.signed_in()
    seen_by_somebody = secret_on(at.get("/account/factors"))
    assert secret_on(at.get("/account/factors")) != seen_by_somebody
    members.age()
    assert "Confirm that it is you" in at.get("/account/factors").text


def test_one_application_is_set_up_once(members: Members) -> None:
    at = members.signed_in()
    page = at.get("/account/factors")
    other = members.browser(like=at)
    code = code_of(secret_on(page))
    for one, once in ((at, "first"), (other, "second")):
        form = new_factor_form(page, "code")
        one.post(form.action, data=form.fields | {"code": code, "once": once})
    assert members.kept() == [FactorKind.TOTP]


def test_a_session_of_a_factor_that_is_gone_ends_where_one_is_demanded(members: Members) -> None:
    secret, _ = members.give_totp()
    at = members.signed_in(code=code_of(secret))
    page = at.get("/account")
    [form] = [one for one in all_forms(page) if re.search(r"/factors/\d+/remove$", one.action)]
    at.post(form.action, data=form.fields)
    assert members.kept() == []
    members.demand(FactorDemand.EVERYBODY)
    assert who_is_at(at) is None


def test_an_old_cookie_brings_no_recovery_codes_and_no_secret_back(members: Members) -> None:
    secret, codes = members.give_totp()
    at = members.signed_in(code=code_of(secret))
    before = members.browser(like=at)
    page = send_form(at, at.get("/account"), "/account/factors/codes")
    assert "Recovery codes" in page.text
    fields = form_on(before.get("/account"), "/account/factors/codes").fields
    assert not set(codes) & set(before.post("/account/factors/codes", data=fields).text.split())
    other = members.browser()
    page = members.enter(other)
    assert send_form(other, page, "/sign-in/second", code=codes[0]).status_code == 401


# The cookie


class _Document(BaseHTTPRequestHandler):
    """The discovery document of a provider, enough to redirect a browser to it."""

    def do_GET(self) -> None:
        host = f"http://127.0.0.1:{self.server.server_port}"
        names = {"issuer": host, "authorization_endpoint": f"{host}/auth"}
        body = json.dumps(names | {"token_endpoint": f"{host}/token", "jwks_uri": f"{host}/keys"})
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def full_browser(tmp_path_factory: pytest.TempPathFactory, hashed: str) -> Iterator[httpx.Client]:
    """A browser with the largest cookie.

    It is signed in to eight accounts with the longest names, and has given the password of a
    ninth. A passkey challenge of each kind and a new TOTP secret are pending.
    """
    path = tmp_path_factory.mktemp("cookie") / "test.sqlite3"
    upgrade(str(path))
    with HTTPServer(("127.0.0.1", 0), _Document) as provider, ExitStack() as stack:
        Thread(target=provider.serve_forever, daemon=True).start()
        stack.callback(provider.shutdown)
        settings = {
            "HEALTHREPORTS_TRUSTED_PROXIES": "127.0.0.1",
            "HEALTHREPORTS_PUBLIC_URL": ORIGIN,
            "HEALTHREPORTS_OIDC_ISSUER": f"http://127.0.0.1:{provider.server_port}",
            "HEALTHREPORTS_OIDC_CLIENT_ID": "c",
            "HEALTHREPORTS_OIDC_CLIENT_SECRET": "s",
        }
        server = Server(path, settings).start()
        stack.callback(server.stop)
        database = stack.enter_context(closing(open_database(Settings(database=str(path)))))
        at = stack.enter_context(browser(server))

        def work(tx: Any) -> list[str]:
            names = []
            for number in range(9):
                names.append(f"{'a' * 59}{number}")
                account = people_accounts.create_account(tx, f"T{number}", now(), names[-1])
                user = people.create_user(
                    tx,
                    account,
                    full_name="P",
                    email_address="p@example.org",
                    permission=AccountPermission.COLLABORATOR,
                    now=now(),
                )
                credentials.store_password(tx, account, user.id, hashed, now())
            secret = factors.new_totp_secret()
            factors.store(tx, user, factors.made_totp("", secret, code_of(secret), now()), now())
            return names

        for name in database.write_here(work):
            page = at.get("/sign-in", params={"another": ""})
            given = {"email_address": "p@example.org", "password": PASSWORD, "account": name}
            send_form(at, page, "/sign-in", **given)
        at.get("/account/factors")
        at.get("/sign-in", params={"another": ""})
        yield at


def size_of_cookie(at: httpx.Client) -> int:
    return len("__Host-healthreports") + len(at.cookies["healthreports"])


def test_a_browser_keeps_the_cookie_of_who_is_in_eight_accounts(full_browser: httpx.Client) -> None:
    kept = cookie_of(full_browser)
    assert len(kept["others"]) == 7
    assert {"half", "challenge", "new_challenge", "totp", "csrf"} <= set(kept)
    assert size_of_cookie(full_browser) < MOST_COOKIE


def test_a_browser_keeps_the_cookie_on_the_way_to_the_provider(full_browser: httpx.Client) -> None:
    wanted = "/" + "x" * 1_490
    page = full_browser.get("/sign-in/provider", params={"next": wanted}, follow_redirects=False)
    assert page.status_code in (302, 303), page.text
    assert size_of_cookie(full_browser) < MOST_COOKIE


def test_a_challenge_of_somebody_else_is_none(members: Members) -> None:
    """An answer is valid only in the browser whose challenge it signs."""
    device = device_at()
    add_passkey(members.signed_in(), device)
    asked, other = members.browser(), members.browser()
    answer = device.use(options_in(asked.get("/sign-in")))
    page = other.get("/sign-in")
    assert send_form(other, page, "/sign-in/passkey", passkey=answer).status_code == 401
    without = PasskeyChallenge("", now())
    user_id = members.user_id()
    [kept] = [
        one
        for one in members.database.read_here(lambda tx: stored.of_user(tx, user_id))
        if one.credential_id
    ]
    assert PASSKEYS.used(answer, without, kept.secret, kept.counter, now()) is None
