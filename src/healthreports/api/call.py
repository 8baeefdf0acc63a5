"""One request to one path of the API, as the handlers see it. Contract: 1.2 to 1.6."""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Final

from starlette.types import Receive, Scope

from healthreports.api.bearer import secret_in
from healthreports.contract.bodies import Body, demand_readable, read_body
from healthreports.contract.params import Params, read_id, read_params
from healthreports.contract.resources import Resource
from healthreports.core.errors import BadKey, NotFound, UnsupportedMedia
from healthreports.edge.middleware import address_of
from healthreports.service.retries import Asked

# A body up to this size is parsed in less time than a switch to another thread takes.
_SHORT_BODY_BYTES: Final = 64 * 1024
_KEY: Final = re.compile(r"[!-~]{1,255}")


class Call:
    """One request. Raises Unauthenticated if it has no well-formed token."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self._body: bytes | None = None
        # The last of several equal headers counts; none of those read here may be repeated.
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self.secret = secret_in(self._headers)

    @property
    def query_string(self) -> str:
        """The query string, without the question mark."""
        query_string: bytes = self._scope["query_string"]
        return query_string.decode("utf-8", "replace")

    @property
    def params(self) -> Params:
        """The parameters of the query string."""
        return read_params(self.query_string)

    @property
    def wants_body(self) -> bool:
        """Whether the answer's body is sent; it is not for HEAD."""
        return bool(self._scope["method"] != "HEAD")

    @property
    def address(self) -> str:
        """The path, a question mark and the query string."""
        return f"{self._scope['path']}?{self.query_string}"

    @property
    def client(self) -> str:
        """The address of the client."""
        return address_of(self._scope)

    def header(self, name: bytes) -> str | None:
        """The value of a header, by its lowercase name; None if it was not sent."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    def deadline_renewal(self) -> Callable[[], None]:
        """A function that restarts the time limit of this request."""
        return partial(self._scope["deadlines"].renew, asyncio.current_task())

    def record_id(self, resource: Resource) -> int:
        """The id in the path. Raises NotFound if it is not a possible id. Contract: 5.1."""
        record_id = read_id(self._scope["path_params"]["id"])
        if record_id is None:
            raise NotFound(resource.kind)
        return record_id

    async def demand_readable_body(self) -> None:
        """Raise MalformedBody or UnsupportedMedia if there is a body that cannot be read."""
        body = await self._whole_body()
        if body:
            demand_readable(body, self._headers.get(b"content-type", b"").decode("latin-1"))

    async def body(self, resource: Resource, many_root: str | None = None) -> Body:
        """Read the attributes of a record of the resource from the body. Contract: 1.3 to 1.5.

        With a `many_root`, the body may instead have several records in an array under that key.
        Raises UnsupportedMedia, MalformedBody, RootMissing; `edge/middleware` limits the size.
        """
        body = await self._whole_body()
        content_type = self._headers.get(b"content-type", b"").decode("latin-1")
        if len(body) <= _SHORT_BODY_BYTES:
            return read_body(body, content_type, resource.root, many_root)
        return await asyncio.to_thread(read_body, body, content_type, resource.root, many_root)

    async def asked(self) -> Asked | None:
        """What identifies a repetition of this request. Contract: 8.2.

        None if it is not a POST with an Idempotency-Key. Raises BadKey.
        """
        key = self.header(b"idempotency-key")
        if key is None or self._scope["method"] != "POST":
            return None
        if _KEY.fullmatch(key) is None:
            raise BadKey
        content_type = self._headers.get(b"content-type", b"")
        parts = (self._scope["query_string"], content_type, await self._whole_body())
        fingerprint = sha256(b"".join(b"%d:%b" % (len(one), one) for one in parts)).hexdigest()
        return Asked(self._scope["path"], key, fingerprint)

    async def _whole_body(self) -> bytes:
        if self._body is None:
            self._body = await self._received()
        return self._body

    async def _received(self) -> bytes:
        chunks: list[bytes] = []
        more = True
        while more:
            message = await self._receive()
            chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(chunks)
        encoding = self._headers.get(b"content-encoding", b"identity")
        if body and encoding.lower() != b"identity":
            raise UnsupportedMedia
        return body
