"""Passkeys (Web Authentication, level 2): the request to a browser, and checking its answer.

The library `webauthn` verifies; it is imported when a passkey is first used. Nothing is stored
here. The browser keeps a challenge in its signed cookie, so that strangers cannot fill a store. An
answer works once, since a challenge must be newer than the passkey's last use.
"""

import ipaddress
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from healthreports.core.errors import Fault, Invalid, Problem
from healthreports.core.model import Instant, User
from healthreports.core.vocabulary import CHALLENGE_LASTS_S, SECOND_US

if TYPE_CHECKING:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

T = TypeVar("T")

_NAME: Final = "healthreports"
_CHALLENGE_BYTES: Final = 32
_LASTS_US: Final = CHALLENGE_LASTS_S * SECOND_US
# An answer has some hundred bytes, one with an attestation some thousand.
_MOST_ANSWER: Final = 20_000
# Authenticator data (Web Authentication, 6.1): a hash, flags, a counter; then perhaps an AAGUID.
_BARE_BYTES: Final = 37
_AAGUID_BYTES: Final = 16
_MOST_ID_BYTES: Final = 1_023
# CBOR (RFC 8949, 3): the major types of strings, arrays and maps, and how a length is encoded.
_STRINGS: Final = (2, 3)
_OPENING: Final = {4: 1, 5: 2}
_TAG: Final = 6
_IN_ONE_BYTE: Final = 24
_IN_EIGHT_BYTES: Final = 27
_MOST_LEVELS: Final = 5


class PasskeyChallenge(NamedTuple):
    """What a browser has to sign, in base64url, and when it was made."""

    text: str
    made_at: Instant


class MadePasskey(NamedTuple):
    """A new passkey: its id and its public key in base64url, and its signature counter."""

    credential_id: str
    public_key: str
    counter: int


def new_challenge(now: Instant) -> PasskeyChallenge:
    """A new random challenge."""
    return PasskeyChallenge(secrets.token_urlsafe(_CHALLENGE_BYTES), now)


class Passkeys:
    """Passkeys of the server whose address, as browsers see it, is `origin`.

    Browsers support them for a host name under https, and for localhost (Web Authentication,
    5.1.3). Otherwise there are none, and `here` is None.
    """

    def __init__(self, origin: str) -> None:
        parts = urlsplit(origin)
        self._origin = f"{parts.scheme}://{parts.netloc}"  # an origin has no path
        self.here = _relying_party(origin)

    def to_make(self, user: User, known: Sequence[str], challenge: PasskeyChallenge) -> str:
        """The JSON with which a browser makes a passkey for `user`, who already has `known`."""
        import webauthn  # noqa: PLC0415  the import takes a sixth of a second, and most processes do not need it
        from webauthn.helpers import base64url_to_bytes, structs  # noqa: PLC0415  as above

        assert self.here is not None  # the page checks it first
        options = webauthn.generate_registration_options(
            rp_id=self.here,
            rp_name=_NAME,
            user_id=str(user.id).encode(),
            user_name=user.email_address,
            user_display_name=user.full_name,
            challenge=base64url_to_bytes(challenge.text),
            timeout=CHALLENGE_LASTS_S * 1000,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.PREFERRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=_described(known),
        )
        return webauthn.options_to_json(options)

    def to_use(self, known: Sequence[str], challenge: PasskeyChallenge) -> str:
        """The JSON with which a browser uses one of the passkeys `known`, or any if it is empty.

        The authenticator has to verify its user, by a PIN or a fingerprint.
        """
        # These are five fields on a page that every stranger sees: not worth importing the library.
        options = {
            "challenge": challenge.text,
            "rpId": self.here,
            "timeout": CHALLENGE_LASTS_S * 1000,
            "userVerification": "required",
            "allowCredentials": [{"type": "public-key", "id": one} for one in known],
        }
        return msgspec.json.encode(options).decode()

    def made(self, answer: str, challenge: PasskeyChallenge | None, now: Instant) -> MadePasskey:
        """Verify a new passkey from a browser and return it. Takes milliseconds. Raises Invalid."""
        made = None
        if challenge is not None and self.here is not None and _is_fresh(challenge, now):
            made = _tried(_made, answer, challenge, self.here, self._origin)
        if made is None:
            raise Invalid([Problem("passkey", Fault.WRONG)])
        return made

    def used(
        self,
        answer: str,
        challenge: PasskeyChallenge | None,
        public_key: str,
        counter: int,
        now: Instant,
    ) -> int | None:
        """Verify an answer. Returns the new signature counter, or None if the answer is wrong.

        It may take milliseconds.
        """
        if challenge is None or self.here is None or not _is_fresh(challenge, now):
            return None
        return _tried(_used, answer, challenge, self.here, self._origin, public_key, counter)


def credential_in(answer: str) -> str | None:
    """The id of the passkey that a browser's answer names, in base64url."""
    read = _tried(_read, answer)
    return None if read is None else read.raw_id


class _Response(msgspec.Struct, rename="camel"):
    """The response of an authenticator, each part in base64url."""

    client_data_json: str = msgspec.field(name="clientDataJSON")
    authenticator_data: str = ""
    signature: str = ""
    attestation_object: str = ""


class _Credential(msgspec.Struct, rename="camel"):
    """The answer of a browser."""

    raw_id: str
    response: _Response


def _read(answer: str) -> _Credential:
    if len(answer) > _MOST_ANSWER:
        raise ValueError("too long")
    return msgspec.json.decode(answer, type=_Credential)


def _made(answer: str, challenge: PasskeyChallenge, here: str, origin: str) -> MadePasskey:
    import webauthn  # noqa: PLC0415  as above
    from cbor2 import dumps, loads  # noqa: PLC0415  as above
    from webauthn.helpers import base64url_to_bytes, bytes_to_base64url  # noqa: PLC0415

    read = _read(answer)
    attested = base64url_to_bytes(read.response.attestation_object)
    _demand_plain(attested)
    data = loads(attested)["authData"]
    _demand_plain(_key_and_extensions(data))
    # No attestation was requested, so it is dropped: its certificates are not parsed at all.
    bare = dumps({"fmt": "none", "attStmt": {}, "authData": data})
    made = webauthn.verify_registration_response(
        credential={
            "id": read.raw_id,
            "rawId": read.raw_id,
            "type": "public-key",
            "response": {
                "clientDataJSON": read.response.client_data_json,
                "attestationObject": bytes_to_base64url(bare),
            },
        },
        expected_challenge=base64url_to_bytes(challenge.text),
        expected_rp_id=here,
        expected_origin=origin,
        require_user_verification=True,
    )
    credential_id = bytes_to_base64url(made.credential_id)
    if credential_id != read.raw_id or len(made.credential_id) > _MOST_ID_BYTES:
        raise ValueError("not the passkey that it says")
    return MadePasskey(
        credential_id, bytes_to_base64url(made.credential_public_key), made.sign_count
    )


def _used(  # noqa: PLR0917  the challenge, the server and the passkey
    answer: str,
    challenge: PasskeyChallenge,
    here: str,
    origin: str,
    public_key: str,
    counter: int,
) -> int:
    import webauthn  # noqa: PLC0415  as above
    from webauthn.helpers import base64url_to_bytes  # noqa: PLC0415

    read = _read(answer)
    # Neither a key nor an extension was requested, so there must be no CBOR that has to be parsed.
    if len(base64url_to_bytes(read.response.authenticator_data)) != _BARE_BYTES:
        raise ValueError("more than was asked for")
    used = webauthn.verify_authentication_response(
        credential={
            "id": read.raw_id,
            "rawId": read.raw_id,
            "type": "public-key",
            "response": {
                "clientDataJSON": read.response.client_data_json,
                "authenticatorData": read.response.authenticator_data,
                "signature": read.response.signature,
            },
        },
        expected_challenge=base64url_to_bytes(challenge.text),
        expected_rp_id=here,
        expected_origin=origin,
        credential_public_key=base64url_to_bytes(public_key),
        credential_current_sign_count=counter,
        require_user_verification=True,
    )
    return used.new_sign_count


def _key_and_extensions(data: bytes) -> bytes:
    """The CBOR in authenticator data, which follows hash, flags, counter, AAGUID and the id."""
    length = int.from_bytes(data[_BARE_BYTES + _AAGUID_BYTES :][:2])
    return data[_BARE_BYTES + _AAGUID_BYTES + 2 + length :]


def _demand_plain(cbor: bytes) -> None:
    """Raise ValueError for CBOR that no authenticator writes (CTAP 2.1, 8), before it is decoded.

    Shared values, which are tags, would be expanded: 1,600 bytes could become gigabytes.
    """
    at, open_items = 0, [1]
    # How many items are missing in each open array or map. Several top-level items may follow.
    while at < len(cbor):
        major, more = cbor[at] >> 5, cbor[at] & 31
        at += 1
        if major == _TAG or more > _IN_EIGHT_BYTES:
            raise ValueError("not the CBOR of an authenticator")
        size = 0 if more < _IN_ONE_BYTE else 1 << (more - _IN_ONE_BYTE)
        number = int.from_bytes(cbor[at : at + size]) if size else more
        at += size
        if not open_items[-1] and len(open_items) == 1:
            open_items[-1] = 1
        open_items[-1] -= 1
        if major in _STRINGS:
            at += number
        elif major in _OPENING and number:
            open_items.append(number * _OPENING[major])
        if at > len(cbor) or len(open_items) > _MOST_LEVELS:
            raise ValueError("not the CBOR of an authenticator")
        while len(open_items) > 1 and not open_items[-1]:
            open_items.pop()


def _tried(verify: Callable[..., T], *arguments: object) -> T | None:
    """Return what `verify` returns for an answer, or None if it cannot be read or is wrong.

    Untrusted input reaches the parsers of several libraries, whose errors share no base class.
    """
    try:
        return verify(*arguments)
    except Exception:  # noqa: BLE001  as above
        return None


def _is_fresh(challenge: PasskeyChallenge, now: Instant) -> bool:
    return challenge.made_at <= now < challenge.made_at + _LASTS_US


def _described(known: Sequence[str]) -> list["PublicKeyCredentialDescriptor"]:
    from webauthn.helpers import base64url_to_bytes  # noqa: PLC0415
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor  # noqa: PLC0415

    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(one)) for one in known]


def _relying_party(origin: str) -> str | None:
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if parts.scheme != "https" and host != "localhost":
        return None
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host or None
    return None
