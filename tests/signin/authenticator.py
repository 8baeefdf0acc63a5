"""A software authenticator: creates passkeys and signs with them, as in Web Authentication.

It is written from the specification, without the library with which the server verifies.
"""

import base64
import hashlib
import json
import os
from dataclasses import dataclass, field

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, WITH_KEY = 0x01, 0x04, 0x40


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """One passkey. What the browser would report about its location can be false."""

    origin: str
    rp_id: str = "localhost"
    verifies: bool = True
    counter: int = 0
    credential_id: bytes = field(default_factory=lambda: os.urandom(32))
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def make(self, options: str) -> str:
        """Answer the request of a page to create a passkey."""
        asked = json.loads(options)
        numbers = self.key.public_key().public_numbers()
        key = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        length = len(self.credential_id).to_bytes(2)
        made = bytes(16) + length + self.credential_id + cbor2.dumps(key)
        attestation = {"fmt": "none", "attStmt": {}, "authData": self._data(WITH_KEY) + made}
        return self._answer(
            clientDataJSON=encoded(self._client("webauthn.create", asked["challenge"])),
            attestationObject=encoded(cbor2.dumps(attestation)),
        )

    def use(self, options: str) -> str:
        """Answer the request of a page to use a passkey."""
        asked = json.loads(options)
        self.counter += 1
        data = self._data(0)
        client = self._client("webauthn.get", asked["challenge"])
        signed = data + hashlib.sha256(client).digest()
        return self._answer(
            clientDataJSON=encoded(client),
            authenticatorData=encoded(data),
            signature=encoded(self.key.sign(signed, ec.ECDSA(hashes.SHA256()))),
            userHandle=None,
        )

    def _client(self, kind: str, challenge: str) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _data(self, flags: int) -> bytes:
        flags |= PRESENT | (VERIFIED if self.verifies else 0)
        counter = self.counter.to_bytes(4)
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + counter

    def _answer(self, **response: str | None) -> str:
        name = encoded(self.credential_id)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})
