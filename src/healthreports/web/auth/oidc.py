"""Sign-in through an OpenID Connect provider, with Authlib's client: code flow, PKCE, nonce."""

import logging
from typing import Any, Final
from urllib.parse import quote_plus

from starlette.requests import Request
from starlette.responses import Response

from healthreports.core.errors import SignInRefused
from healthreports.core.model import Instant
from healthreports.core.vocabulary import SECOND_US, FactorKind
from healthreports.service.auth.sign_in import Identity

log: Final = logging.getLogger("healthreports")

_NAME: Final = "provider"
# The longest time between a sign-in at the provider and the return, including clock skew.
_ASKED_AGAIN_S: Final = 300
_LISTED: Final = "id_token_signing_alg_values_supported"
# Signature algorithms whose private key only the provider has.
_SIGNED_BY: Final = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
)
_FAILED: Final = "The provider did not confirm who you are. Try again."


class Provider:
    """An OpenID Connect provider, discovered by its `issuer`. `name` is its name for people."""

    def __init__(self, issuer: str, client_id: str, client_secret: str, name: str) -> None:
        # Loads an HTTP client, which a server without a provider does not need.
        from authlib.integrations.starlette_client import OAuth  # noqa: PLC0415

        self.issuer = issuer
        self.name = name
        registry = OAuth()
        registry.register(
            _NAME,
            client_id=client_id,
            # RFC 6749, 2.3.1 requires form encoding for HTTP Basic, which Authlib does not apply.
            client_secret=quote_plus(client_secret) or None,
            server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": "openid",
                "code_challenge_method": "S256",
                **({} if client_secret else {"token_endpoint_auth_method": "none"}),
            },
        )
        self._client = registry.create_client(_NAME)

    async def begin(self, request: Request, callback: str, *, again: bool = False) -> Response:
        """Redirect the browser to the provider, which redirects it back to `callback`.

        With `again` the provider must ask the user to sign in even if they are signed in there.
        Raises SignInRefused.
        """
        how = {"prompt": "login", "max_age": 0} if again else {}
        response: Response = await self._try(self._redirect(request, callback, **how))
        return response

    async def end(self, request: Request, now_s: int | None = None) -> Identity:
        """Return the identity that the provider states. Raises SignInRefused.

        With `now_s`, the present in seconds, the provider must also state that the user signed in
        at most `_ASKED_AGAIN_S` seconds ago.
        """
        return await self._try(self._identity(request, now_s))  # type: ignore[no-any-return]  # `_try` returns what it awaits

    async def _redirect(self, request: Request, callback: str, **how: object) -> Response:
        await self._meet()
        response: Response = await self._client.authorize_redirect(request, callback, **how)
        return response

    async def _meet(self) -> None:
        """Load and check the provider's metadata before sending anything to its endpoints."""
        metadata = await self._client.load_server_metadata()
        if metadata["issuer"] != self.issuer:  # OpenID Connect Discovery, 4.3
            raise ValueError("the issuer in the configuration of the provider is a different one")
        # The provider may list "none", and the library would then accept unsigned tokens.
        listed = metadata.get(_LISTED) or ()
        metadata[_LISTED] = [one for one in listed if one in _SIGNED_BY] or ["RS256"]

    async def _identity(self, request: Request, now_s: int | None) -> Identity:
        await self._meet()
        # The issuer must be the configured one, whatever the metadata states.
        claims_options = {"iss": {"essential": True, "values": [self.issuer]}}
        token = await self._client.authorize_access_token(request, claims_options=claims_options)
        said = token["userinfo"]
        asked_at = int(said.get("auth_time") or 0)
        if now_s is not None and asked_at < now_s - _ASKED_AGAIN_S:
            raise ValueError("the provider did not authenticate the user again")
        # RFC 8176, 2: "mfa" means that multiple factors were used.
        has_second = "mfa" in (said.get("amr") or ())
        factor = FactorKind.PROVIDER if has_second else None
        return Identity(self.issuer, said["sub"], factor, Instant(asked_at * SECOND_US))

    async def _try(self, asking: Any) -> Any:  # noqa: ANN401  any awaitable, any result
        from authlib.common.errors import AuthlibBaseError  # noqa: PLC0415  as above
        from httpx2 import HTTPError  # noqa: PLC0415
        from joserfc.errors import JoseError  # noqa: PLC0415

        try:
            return await asking
        except (
            AuthlibBaseError,
            JoseError,
            HTTPError,
            ArithmeticError,
            KeyError,
            TypeError,
            ValueError,
            RuntimeError,
        ) as error:
            # The message of the error may contain a code or a token, so only its type is logged.
            log.warning("sign-in through the provider failed: %s", type(error).__name__)
            raise SignInRefused(_FAILED) from error
