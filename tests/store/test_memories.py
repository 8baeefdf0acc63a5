"""Every cache that requests can fill has a size limit; the caches are found by inspection."""

import asyncio
import functools
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import healthreports
from healthreports.contract.envelope import _Pieces
from healthreports.core.model import User
from healthreports.core.vocabulary import Kind
from healthreports.service.limits import SIGN_IN, MonotonicMemory
from healthreports.store.engine.memory import Memory, weight_of

# The keys of these caches are declared in the code, not sent by clients.
OF_DECLARATIONS = {"_by_value"}


def caches() -> Iterator[tuple[str, Any]]:
    for found in pkgutil.walk_packages(healthreports.__path__, "healthreports."):
        if "migrations" in found.name or found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            if isinstance(value, functools._lru_cache_wrapper):  # noqa: SLF001  its only name
                yield f"{module.__name__}.{name}", value


CACHES = dict(caches())


def test_there_are_caches_to_look_at() -> None:
    assert len(CACHES) > 20


@pytest.mark.parametrize("name", CACHES)
def test_a_cache_has_a_bound(name: str) -> None:
    most = CACHES[name].cache_parameters()["maxsize"]
    takes = CACHES[name].__wrapped__.__code__.co_argcount
    if not takes:
        return  # it has one value
    if most is None:
        assert name.rpartition(".")[2] in OF_DECLARATIONS
        return
    assert most <= 4096


@pytest.mark.parametrize("name", CACHES)
def test_no_secret_is_the_key_of_a_cache(name: str) -> None:
    takes = CACHES[name].__wrapped__.__code__.co_varnames
    assert not {"secret", "password", "email_address", "token"} & set(takes)


@pytest.mark.parametrize(
    ("key", "value"),
    [("k" * 1_000, "v"), ("k", "v" * 50_000), ("k", ("v" * 300,) * 7), ("k", {"a": ["b" * 999]})],
    ids=["long keys", "long values", "tuples", "nested"],
)
def test_a_memory_forgets_before_it_is_too_large(key: str, value: object) -> None:
    memory = Memory(most_bytes=1_000_000)
    for number in range(20_000):
        memory[f"{number}{key}", number] = value
        if number % 500 == 0:
            assert sum(weight_of(one) for one in memory.items()) < 1_100_000
    assert len(memory) < 10_000


def test_a_memory_weighs_what_is_replaced_and_forgotten_once() -> None:
    memory = Memory(most_bytes=10_000)
    for _ in range(1_000):
        memory["a"] = "x" * 1_000
        memory.forget("a")
        memory["b"] = "y"
    assert memory["b"] == "y"


def test_the_limits_of_addresses_make_room_for_those_of_passwords() -> None:
    async def run() -> None:
        clock = [0.0]
        windows = MonotonicMemory(lambda: clock[0], most_windows=100)
        guesses = f"{SIGN_IN}/somebody/10/900"
        await windows.incr(guesses, 900, 10)
        for number in range(10_000):
            await windows.incr(f"address/{number}/300/60", 60)
            await windows.incr(f"sign-in-address/{number}/50/900", 900)
        assert len(windows._windows) <= 100  # noqa: SLF001  its size is limited
        assert await windows.get(guesses) == 10
        clock[0] = 901.0
        assert await windows.get(guesses) == 0

    asyncio.run(run())


def test_records_as_json_are_forgotten_before_they_are_too_many() -> None:
    def a_user(number: int, headline: str) -> User:
        return User(
            id=number,
            account_id=1,
            full_name="U",
            email_address="u@example.org",
            headline=headline,
            photo_path=None,
        )

    pieces = _Pieces(100_000)
    for number in range(5_000):
        one = a_user(number % 700, "h" * (number % 999))
        [piece] = pieces.of(Kind.USERS, [one])
        assert pieces.of(Kind.USERS, [one])[0] is piece
        [(_, entry, _)] = pieces.of(Kind.USERS, [a_user(one.id, "another")])
        assert b'"another"' in entry
        assert pieces.kept_bytes <= 100_000
    pieces.of(Kind.USERS, [a_user(1, "h" * 200_000)])
    assert pieces.kept_bytes <= 100_000
