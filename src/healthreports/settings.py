"""The settings of a server: the environment, overridden by flags, as one frozen value.

This is the only module that reads `os.environ`. Each problem with a setting is one sentence that
states its name, its value without secrets, and what the value must be.
"""

import difflib
import ipaddress
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from healthreports.core.vocabulary import (
    DEFAULT_AUDIT_DAYS,
    DEFAULT_BODY_LIMIT_BYTES,
    DEFAULT_INCLUDE_LIMIT,
    DEFAULT_SESSION_DAYS,
    DEFAULT_SESSION_IDLE_H,
    DEFAULT_TRASH_DAYS,
    DEFAULT_UNSENT_LIMIT_BYTES,
)
from healthreports.extras import how_to_install, is_installed

PREFIX: Final = "HEALTHREPORTS_"

Positive = Meta(gt=0, le=86_400)
Port = Meta(ge=0, le=65_535)
# 0 switches the limit off.
Rate = Meta(ge=0)


def _says(text: str) -> Meta:
    """The description of a setting for `--help`, `config check` and the settings page."""
    return Meta(description=text)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, each with its type and bounds, its description and its default.

    The command-line flags and the reference page of the docs are generated from these fields.
    """

    database: Annotated[
        str,
        _says(
            "the SQLite file, or PostgreSQL (15 or newer; needs the extra `postgres`) as "
            "`postgresql://user:password@host/name`"
        ),
    ] = "healthreports.sqlite3"
    read_database: Annotated[
        str, _says("a replica of the PostgreSQL database, which answers reads")
    ] = ""
    host: Annotated[str, _says("the address to listen on")] = "127.0.0.1"
    port: Annotated[int, Port, _says("the port to listen on; 0 takes any free port")] = 8000
    socket: Annotated[
        str, _says("the path of a Unix socket to listen on instead of host and port")
    ] = ""
    metrics_port: Annotated[
        int, Port, _says("the port for Prometheus; 0 switches the metrics off")
    ] = 0
    metrics_host: Annotated[str, _says("the address of the port for Prometheus")] = "127.0.0.1"
    otlp_endpoint: Annotated[
        str,
        _says(
            "the OpenTelemetry collector that receives traces, like `http://127.0.0.1:4318`; "
            "needs the extra `otel`"
        ),
    ] = ""
    workers: Annotated[int, Meta(ge=1, le=256), _says("the number of processes that serve")] = 1
    body_limit_bytes: Annotated[
        int, Meta(ge=1024), _says("the largest request body in bytes; a larger one is a 413")
    ] = DEFAULT_BODY_LIMIT_BYTES
    time_limit_s: Annotated[
        float, Positive, _says("seconds that a request may take; then it is a 504")
    ] = 180.0
    connections: Annotated[
        int,
        Meta(ge=1, le=1_000_000),
        _says(
            "open connections in each process; "
            "fewer if the operating system allows the process fewer open files"
        ),
    ] = 1000
    connections_from_address: Annotated[
        int,
        Meta(ge=1, le=1_000_000),
        _says("open connections from one address, unless it is a trusted proxy"),
    ] = 200
    head_limit_s: Annotated[
        float,
        Positive,
        _says("seconds that a connection may take to send the head of a request"),
    ] = 10.0
    body_limit_s: Annotated[
        float, Positive, _says("seconds that a client may take to send the body of a request")
    ] = 60.0
    unsent_limit_bytes: Annotated[
        int,
        Meta(ge=1024),
        _says(
            "bytes of large answers that wait for slow clients, in total; "
            "above it a large answer is a 503"
        ),
    ] = DEFAULT_UNSENT_LIMIT_BYTES
    include_limit: Annotated[
        int,
        Meta(ge=1),
        _says(
            "included objects in one answer; a request for more is a 400 that names the association"
        ),
    ] = DEFAULT_INCLUDE_LIMIT
    database_wait_s: Annotated[
        int, Meta(ge=0, le=86_400), _says("seconds that the start waits for PostgreSQL to answer")
    ] = 0
    busy_timeout_s: Annotated[
        float,
        Positive,
        _says("seconds that a request waits for a busy database; then it is a 503"),
    ] = 5.0
    grace_s: Annotated[
        int,
        Meta(ge=1, le=3600),
        _says(
            "seconds that open requests may still take when the server stops; then they are a 503"
        ),
    ] = 10
    trash_days: Annotated[
        int,
        Meta(ge=1, le=3650),
        _says("days that a deleted report can be restored; then it is purged"),
    ] = DEFAULT_TRASH_DAYS
    session_idle_hours: Annotated[
        int, Meta(ge=1, le=8760), _says("hours after which an unused browser session expires")
    ] = DEFAULT_SESSION_IDLE_H
    session_days: Annotated[
        int, Meta(ge=1, le=365), _says("days after which every browser session expires")
    ] = DEFAULT_SESSION_DAYS
    audit_days: Annotated[
        int,
        Meta(ge=1, le=36_500),
        _says("days that the audit log stores contents of entries; after that only hashes"),
    ] = DEFAULT_AUDIT_DAYS
    access_log: Annotated[
        bool, _says("log a line for each request, never with its query or token")
    ] = False
    log_format: Annotated[
        Literal["console", "json"],
        _says("the format of log lines: `console`, or `json` for programs"),
    ] = "console"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _says("the least important lines to log")
    ] = "info"
    public_url: Annotated[
        str,
        _says(
            "the address that clients and browsers use, like `https://reports.example.org`; "
            "by default the address that the server listens on"
        ),
    ] = ""
    trusted_proxies: Annotated[
        str,
        _says(
            "addresses or networks (`10.0.0.0/8`) of proxies whose `X-Forwarded-For` is believed, "
            "separated by commas"
        ),
    ] = ""
    cors_origins: Annotated[
        str,
        _says(
            "origins like `https://board.example.org` whose pages may call the API from a browser "
            "with a token, separated by commas"
        ),
    ] = ""
    limit_store: Annotated[
        str,
        _says(
            "where requests are counted: `memory`, or `valkey://host:port/0` for several servers "
            "(needs the extra `valkey`)"
        ),
    ] = "memory"
    token_requests_per_minute: Annotated[
        int, Rate, _says("requests that a token may make in a minute; 0 is no limit")
    ] = 3000
    address_requests_per_minute: Annotated[
        int,
        Rate,
        _says("requests that an address may make in a minute without a valid token; 0 is no limit"),
    ] = 300
    document_requests_per_minute: Annotated[
        int,
        Rate,
        _says(
            "PDF files that a session, or a reader of a share link, may request in a minute; "
            "0 is no limit"
        ),
    ] = 30
    oidc_issuer: Annotated[
        str, _says("the OpenID Connect provider that people sign in with; needs the extra `oidc`")
    ] = ""
    oidc_client_id: Annotated[str, _says("the client id of this server at the provider")] = ""
    # It has no flag, because every program on the machine can read the command line of a process.
    oidc_client_secret: Annotated[
        str, _says("the client secret of this server at the provider, if it has one")
    ] = ""
    oidc_name: Annotated[str, _says("the name of the provider on the sign-in page")] = (
        "your organisation"
    )
    passwords: Annotated[
        Literal["on", "off"],
        _says("whether people sign in with passwords; `off` if everybody uses the provider"),
    ] = "on"


# Settings that have no flag; for the reason, see the fields above.
WITHOUT_FLAG: Final = frozenset({"oidc_client_secret"})


class OneSetting(NamedTuple):
    """The names, the default and the description of a setting."""

    name: str
    variable: str
    flag: str | None
    default: Any
    says: str


def every_setting() -> tuple[OneSetting, ...]:
    """All settings in the order of `Settings`."""
    found = []
    for name, kind in get_type_hints(Settings, include_extras=True).items():
        flag = None if name in WITHOUT_FLAG else f"--{name.replace('_', '-')}"
        [says] = [one.description for one in get_args(kind)[1:] if one.description is not None]
        default = getattr(_DEFAULTS, name)
        found.append(OneSetting(name, PREFIX + name.upper(), flag, default, says))
    return tuple(found)


_DEFAULTS: Final = Settings()


class BadSetting(Exception):
    """Invalid settings. The message has a sentence for each."""


# The smallest sun_path of Linux and the BSDs, without its terminating zero byte.
_MOST_SOCKET_BYTES: Final = 103
# How similar a name must be to be suggested for an unknown one, from 0 to 1.
_NEAR: Final = 0.7


class InForce(NamedTuple):
    """A setting in force: its value (None if invalid), its source, and the problem with it."""

    name: str
    value: Any
    shown: str
    source: str
    problem: str


def load(flags: Mapping[str, Any], defaults: Mapping[str, Any]) -> Settings:
    """The settings: flags override the environment, which overrides the command's `defaults`.

    A flag that is None was not given. Raises BadSetting.
    """
    found = look(flags, defaults)
    problems = [one.problem for one in found if one.problem] + unknown()
    if problems:
        raise BadSetting("; ".join(problems))
    return Settings(**{one.name: one.value for one in found})


def look(flags: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[InForce]:
    """Every setting that is in force, in the order of `Settings`."""
    read = [_found(name, flags, defaults) for name in Settings.__struct_fields__]
    values = {one.name: one.value for one in read if not one.problem}
    together = dict(_together(values))
    return [one._replace(problem=one.problem or together.get(one.name, "")) for one in read]


def unknown() -> list[str]:
    """A sentence for each environment variable that looks like a setting but is not one."""
    names = [PREFIX + one.upper() for one in Settings.__struct_fields__]
    found = []
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in names and not _is_of_cluster(name):
            asked = name.removeprefix(PREFIX).lower()
            near = difflib.get_close_matches(asked, Settings.__struct_fields__, 1, _NEAR)
            hint = (
                f"did you mean {PREFIX}{near[0].upper()}?"
                if near
                else "healthreports config check lists them"
            )
            found.append(f"there is no setting {name}: {hint}")
    return found


def of_cluster() -> list[str]:
    """The variables that Kubernetes sets if a Service is also called healthreports.

    It sets such variables for each Service of a namespace (Kubernetes, "Service", environment
    variables).
    """
    return [name for name in sorted(os.environ) if name.startswith(PREFIX) and _is_of_cluster(name)]


def _is_of_cluster(name: str) -> bool:
    if name == f"{PREFIX}PORT":
        return re.match(r"(tcp|udp|sctp)://", os.environ.get(name, "")) is not None
    return _OF_CLUSTER.fullmatch(name.removeprefix(PREFIX)) is not None


_OF_CLUSTER: Final = re.compile(
    r"SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)


def _found(name: str, flags: Mapping[str, Any], defaults: Mapping[str, Any]) -> InForce:
    variable, flag = PREFIX + name.upper(), f"--{name.replace('_', '-')}"
    if flags.get(name) is not None:
        value, source = flags[name], flag
    elif variable in os.environ and not _is_of_cluster(variable):
        value, source = os.environ[variable], variable
    else:
        value, source = defaults.get(name, getattr(_DEFAULTS, name)), "default"
    shown = without_secrets(name, value)
    kind = get_type_hints(Settings, include_extras=True)[name]
    called = f"{source if source != 'default' else variable} is {shown!r}"
    try:
        read = msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        return InForce(name, None, shown, source, f"{called}: it must be {_wanted(kind)}")
    wrong = _CHECKS[name](read) if name in _CHECKS else ""
    return InForce(name, read, shown, source, f"{called}: {wrong}" if wrong else "")


def pass_on(name: str, value: str) -> None:
    """Set an environment variable, for a library and for child processes."""
    os.environ[name] = value


def listed(text: str) -> tuple[str, ...]:
    """The items of a setting that is a comma-separated list."""
    return tuple(one.strip() for one in text.split(",") if one.strip())


def without_secrets(name: str, value: object) -> str:
    """The value of a setting without secrets, safe to print."""
    text = str(value)
    if name == "oidc_client_secret":
        return "…" if text else ""
    # A password that is not escaped may contain any character, so it is taken to end at the last @.
    text = re.sub(r"://([^:/@\s]*):.*@", r"://\1:…@", text)
    return re.sub(r"(?i)(password=)[^&\s]*", r"\1…", text)


def _wanted(kind: Any) -> str:  # noqa: ANN401  a type
    """What a value of the type must be, in words."""
    bounds: dict[str, Any] = {}
    if get_origin(kind) is Annotated:
        kind, *metas = get_args(kind)
        bounds = {
            name: value
            for meta in metas
            for name in ("ge", "gt", "le")
            if (value := getattr(meta, name)) is not None
        }
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if kind is bool:
        return "true or false"
    says = "a whole number" if kind is int else "a number"
    least, above, most = bounds.get("ge"), bounds.get("gt"), bounds.get("le")
    if above is not None:
        says += f" above {above:,}"
    if least is not None:
        says += f" from {least:,}" if most is not None else f" of at least {least:,}"
    if most is not None:
        says += f" to {most:,}" if least is not None else f", at most {most:,}"
    return says


# Each function returns what is wrong with a value, or an empty text if it is valid.


def _database(text: str) -> str:
    if "://" in text:
        return _server(text)
    if text.startswith((":memory:", "file:", "sqlite:")):
        return "write the path of a file; a database in memory would be another for each connection"
    if not text.strip():
        return "write the path of a SQLite file or postgresql://user@host/database"
    if Path(text).is_dir():
        return "that is a folder; write the path of a file in it"
    return ""


def _server(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if scheme not in ("postgresql", "postgres"):
        return f"write postgresql:// in place of {scheme}://, or the path of a SQLite file"
    place = rest.partition("?")[0]
    if place.count("@") > 1 or "/" in place.rpartition("@")[0]:
        return "the password has signs that must be escaped: @ as %40, / as %2F, : as %3A, % as %25"
    if re.search(r"%(?![0-9A-Fa-f]{2})", place):
        return "write % as %25, or two hexadecimal digits after it"
    return ""


def _read_database(text: str) -> str:
    if text and "://" not in text:
        return "a replica to read from is PostgreSQL: write postgresql://user@host/database"
    return _server(text) if text else ""


def _origin(text: str) -> str:
    if not text or re.fullmatch(r"https?://[^\s/?#]+", text):
        return ""
    if re.fullmatch(r"https?://[^\s/?#]+/+", text):
        return f"write it without the slash at its end: {text.rstrip('/')}"
    return "write a scheme and a host, like https://reports.example.org, without a path"


def _endpoint(text: str) -> str:
    if not text or re.fullmatch(r"https?://[^\s?#]+[^\s?#/]", text):
        return ""
    return "write the address of a collector, like http://127.0.0.1:4318, without /v1/traces"


def _socket(text: str) -> str:
    if not text:
        return ""
    if len(os.fsencode(text)) > _MOST_SOCKET_BYTES:
        return f"a path of a Unix socket has at most {_MOST_SOCKET_BYTES} bytes"
    return "" if text.startswith("/") else "write the whole path, like /run/healthreports/socket"


def _public_url(text: str) -> str:
    if not text or re.fullmatch(r"https?://[^\s/?#]+(/[A-Za-z0-9._~-]+)*", text):
        return ""
    if text.endswith("/"):
        return f"write it without the slash at its end: {text.rstrip('/')}"
    return "write a scheme, a host and perhaps a path, like https://example.org/reports"


def _origins(text: str) -> str:
    for one in listed(text):
        wrong = _origin(one)
        if wrong:
            return f"{one!r}: {wrong}"
        # It must be exactly what a browser sends in the Origin header.
        scheme, _, host = one.partition("://")
        if one != one.lower() or host.endswith(":443" if scheme == "https" else ":80"):
            return (
                f"{one!r}: write it as browsers send it, in small letters, without the usual port"
            )
    return ""


def _issuer(text: str) -> str:
    # The identity provider must be reached over TLS or be on this machine.
    if not text or re.fullmatch(
        r"https://[^\s?#]+|http://(127\.0\.0\.1|localhost|\[::1\])[^\s?#]*", text
    ):
        return ""
    return "write an https address; http is for providers on this machine alone"


def _proxies(text: str) -> str:
    for one in listed(text):
        if one == "*" or one.startswith("/"):
            continue
        try:
            ipaddress.ip_network(one, strict=False)
        except ValueError:
            return (
                f"{one!r} is no address: write addresses or networks like 10.0.0.0/8, with commas"
            )
    return ""


def _limit_store(text: str) -> str:
    if text == "memory":
        return ""
    try:
        parts = urlsplit(text)
        is_known = parts.scheme in ("valkey", "valkeys", "redis", "rediss", "unix")
        if is_known and (parts.hostname or parts.scheme == "unix") and parts.port != 0:
            return ""
    except ValueError:
        pass
    return "write memory, or valkey://host:port"


_CHECKS: Final[Mapping[str, Callable[[Any], str]]] = {
    "database": _database,
    "read_database": _read_database,
    "socket": _socket,
    "otlp_endpoint": _endpoint,
    "public_url": _public_url,
    "oidc_issuer": _issuer,
    "trusted_proxies": _proxies,
    "cors_origins": _origins,
    "limit_store": _limit_store,
}


# Which settings need an extra of the package: the setting, a pattern of its values, the extra.
_NEEDS_EXTRA: Final = (
    ("database", r".*://.*", "postgres"),
    ("limit_store", r".*://.*", "valkey"),
    ("oidc_issuer", r".+", "oidc"),
    ("otlp_endpoint", r".+", "otel"),
)


def _together(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Problems between settings that are each valid: the name of one, and a sentence."""
    for name, pattern, extra in _NEEDS_EXTRA:
        if re.fullmatch(pattern, values.get(name, "")) and not is_installed(extra):
            value = without_secrets(name, values[name])
            yield name, f"{PREFIX}{name.upper()} is {value!r}: {how_to_install(extra)}"
    issuer = values.get("oidc_issuer")
    if issuer and values.get("oidc_client_id") == "":
        says = f"it is needed with {PREFIX}OIDC_ISSUER"
        yield "oidc_client_id", f"{PREFIX}OIDC_CLIENT_ID is not set: {says}"
    for name in ("oidc_client_id", "oidc_client_secret"):
        if issuer == "" and values.get(name):
            says = f"set {PREFIX}OIDC_ISSUER too, or leave it out"
            yield name, f"{PREFIX}{name.upper()} is set alone: {says}"
    if values.get("passwords") == "off" and issuer == "":
        says = f"set {PREFIX}OIDC_ISSUER, or nobody can sign in"
        yield "passwords", f"{PREFIX}PASSWORDS is off: {says}"
    if values.get("socket") and values.get("public_url") == "":
        says = f"set {PREFIX}PUBLIC_URL too, the address at which the proxy is reached"
        yield "socket", f"{PREFIX}SOCKET is set: {says}"
    if values.get("read_database") and "://" not in values.get("database", "://"):
        says = "the database that it is a replica of must be PostgreSQL too"
        yield "read_database", f"{PREFIX}READ_DATABASE is set: {says}"
