"""Runs the server below a path of a host; a proxy removes that path from each request.

Inside the server, addresses do not have that path. It is added to the addresses that the server
sends out: the Location of a redirect, and in pages the addresses that `at_root` finds.
"""

import re
from contextvars import ContextVar
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_root: Final[ContextVar[str]] = ContextVar("root", default="")
# The addresses of this server in pages, which all begin with one slash.
_OURS: Final = re.compile(r'(\b(?:href|src|action|hx-get|hx-post)=")(?=/(?!/))')


def with_root(app: ASGIApp, root: str) -> ASGIApp:
    """Wrap `app` for the path `root`, which begins with a slash and does not end with one."""
    if not root:
        return app

    async def rooted(scope: Scope, receive: Receive, send: Send) -> None:
        _root.set(root)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [
                    (name, _led(root, value) if name.lower() == b"location" else value)
                    for name, value in message.get("headers", ())
                ]
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, sent)

    return rooted


def at_root(html: str) -> str:
    """Add the path of the server to the addresses of this server in a page."""
    root = _root.get()
    return _OURS.sub(rf"\g<1>{root}", html) if root else html


def _led(root: str, address: bytes) -> bytes:
    is_ours = address.startswith(b"/") and not address.startswith(b"//")
    return root.encode() + address if is_ours else address
