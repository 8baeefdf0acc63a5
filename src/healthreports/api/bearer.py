"""The bearer token of a call. Contract: 1.2."""

import re
from collections.abc import Iterable
from typing import Final

from healthreports.core.errors import Unauthenticated

# RFC 6750, section 2.1; the scheme's case does not matter (RFC 9110, section 11.1).
_BEARER: Final = re.compile(rb"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)


def secret_in(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The token in the Authorization header. Raises Unauthenticated when there is none."""
    for name, value in headers:
        if name == b"authorization":
            match = _BEARER.fullmatch(value)
            if match is not None:
                return match[1].decode("ascii")
            break
    raise Unauthenticated
