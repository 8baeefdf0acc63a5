"""The bearer token of a call. Contract: 1.2."""

import re
from collections.abc import Mapping
from typing import Final

from healthreports.core.errors import Unauthenticated

# RFC 6750, section 2.1; the scheme's case does not matter (RFC 9110, section 11.1).
_BEARER: Final = re.compile(rb"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)


def secret_in(headers: Mapping[bytes, bytes]) -> str:
    """The token in the Authorization header. Raises Unauthenticated if there is none."""
    match = _BEARER.fullmatch(headers.get(b"authorization", b""))
    if match is None:
        raise Unauthenticated
    return match[1].decode("ascii")
