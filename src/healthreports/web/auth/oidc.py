"""Signing in through an OpenID Connect provider, by Authlib's client: code flow, PKCE, nonce."""

import logging
from typing import Any, Final
from urllib.parse import quote_plus

from starlette.requests import Request
from starlette.responses import Response

from healthreports.core.errors import SignInRefused

log: Final = logging.getLogger("healthreports")

_NAME: Final = "provider"
_FAILED: Final = "The provider did not confirm who you are. Try again."


class Provider:
    """One OpenID Connect provider, found by its `issuer`; `name` is what people call it."""

    def __init__(self, issuer: str, client_id: str, client_secret: str, name: str) -> None:
        # Loads an HTTP client, which a server without a provider does not need.
        from authlib.integrations.starlette_client import OAuth  # noqa: PLC0415

        self.issuer = issuer
        self.name = name
        registry = OAuth()
        registry.register(
            _NAME,
            client_id=client_id,
            # Joined to the id as values of a form (RFC 6749, 2.3.1), which Authlib leaves to us.
            client_secret=quote_plus(client_secret) or None,
            server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": "openid",
                "code_challenge_method": "S256",
                **({} if client_secret else {"token_endpoint_auth_method": "none"}),
            },
        )
        self._client = registry.create_client(_NAME)

    async def begin(self, request: Request, callback: str) -> Response:
        """Send the browser to the provider, which sends it back to `callback`.

        Raises SignInRefused.
        """
        response: Response = await self._try(self._client.authorize_redirect(request, callback))
        return response

    async def end(self, request: Request) -> str:
        """What the provider calls who sits at the browser (`sub`). Raises SignInRefused."""
        return await self._try(self._subject(request))  # type: ignore[no-any-return]  # as it says

    async def _subject(self, request: Request) -> str:
        # The issuer is the one that was configured, whatever its own document says.
        claims_options = {"iss": {"essential": True, "values": [self.issuer]}}
        token = await self._client.authorize_access_token(request, claims_options=claims_options)
        return str(token["userinfo"]["sub"])

    async def _try(self, asking: Any) -> Any:  # noqa: ANN401  what it asks for
        from authlib.common.errors import AuthlibBaseError  # noqa: PLC0415  as above
        from httpx2 import HTTPError  # noqa: PLC0415
        from joserfc.errors import JoseError  # noqa: PLC0415

        try:
            return await asking
        except (
            AuthlibBaseError,
            JoseError,
            HTTPError,
            KeyError,
            ValueError,
            RuntimeError,
        ) as error:
            # A code or a token may stand in what the error says.
            log.warning("sign-in through the provider failed: %s", type(error).__name__)
            raise SignInRefused(_FAILED) from error
