"""The settings of a server: the environment, overridden by flags, as one frozen value.

The only reader of `os.environ`.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_type_hints

import msgspec
from msgspec import Meta

from healthreports.core.vocabulary import (
    DEFAULT_BODY_LIMIT_BYTES,
    DEFAULT_INCLUDE_LIMIT,
    DEFAULT_TRASH_DAYS,
    DEFAULT_UNSENT_LIMIT_BYTES,
)

PREFIX: Final = "HEALTHREPORTS_"

Positive = Annotated[float, Meta(gt=0, le=86_400)]
# An origin: no path, and nothing at the end.
PublicUrl = Annotated[str, Meta(pattern=r"^(https?://[^\s/?#]+)?$")]
# Who says who somebody is must be asked over TLS, or on this machine.
IssuerUrl = Annotated[
    str,
    Meta(pattern=r"^(https://[^\s?#]+|http://(127\.0\.0\.1|localhost|\[::1\])[^\s?#]*)?$"),
]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set. The README has this table; a test holds the two together."""

    database: str = "healthreports.sqlite3"
    read_database: str = ""
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8000
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    body_limit_bytes: Annotated[int, Meta(ge=1024)] = DEFAULT_BODY_LIMIT_BYTES
    time_limit_s: Positive = 180.0
    connections: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    connections_from_address: Annotated[int, Meta(ge=1, le=1_000_000)] = 200
    head_limit_s: Positive = 10.0
    body_limit_s: Positive = 60.0
    unsent_limit_bytes: Annotated[int, Meta(ge=1024)] = DEFAULT_UNSENT_LIMIT_BYTES
    include_limit: Annotated[int, Meta(ge=1)] = DEFAULT_INCLUDE_LIMIT
    busy_timeout_s: Positive = 5.0
    trash_days: Annotated[int, Meta(ge=1, le=3650)] = DEFAULT_TRASH_DAYS
    access_log: bool = False
    public_url: PublicUrl = ""
    trusted_proxies: str = ""
    limit_store: str = "memory"
    token_requests_per_minute: Annotated[int, Meta(ge=0)] = 3000
    address_requests_per_minute: Annotated[int, Meta(ge=0)] = 300
    document_requests_per_minute: Annotated[int, Meta(ge=0)] = 30
    oidc_issuer: IssuerUrl = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""  # has no flag: a command line is seen by every program
    oidc_name: str = "your organisation"
    passwords: Literal["on", "off"] = "on"


class BadSetting(Exception):
    """A setting with a value it cannot have, or one that does not exist."""


def load(flags: Mapping[str, Any], defaults: Mapping[str, Any]) -> Settings:
    """The settings: `defaults` of a command, over them the environment, over it the flags.

    A flag that is None was not given. Raises BadSetting.
    """
    values: dict[str, Any] = dict(defaults)
    values |= {
        name.removeprefix(PREFIX).lower(): text
        for name, text in os.environ.items()
        if name.startswith(PREFIX)
    }
    values |= {name: value for name, value in flags.items() if value is not None}
    return Settings(**{name: _read(name, value) for name, value in values.items()})


def _read(name: str, value: object) -> Any:  # noqa: ANN401  of the type of the setting
    kinds = get_type_hints(Settings, include_extras=True)
    shown = f"{PREFIX}{name.upper()}"
    if name not in Settings.__struct_fields__:
        raise BadSetting(f"there is no {shown}; there are {', '.join(Settings.__struct_fields__)}")
    try:
        return msgspec.convert(value, kinds[name], strict=False)
    except msgspec.ValidationError as error:
        flag = f"--{name.replace('_', '-')}"
        raise BadSetting(f"{shown} (or {flag}) is {value!r}: {error}") from error
