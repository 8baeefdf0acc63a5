"""The hash chain of the audit log: it detects changes, but allows contents to be removed."""

from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effort import effort
from healthreports.core.audit import Head, Sealed, faults, sealed
from healthreports.core.model import AuditEvent, Instant
from healthreports.core.vocabulary import AuditAction, Through

_salts = count(1)

VALUES = st.none() | st.dictionaries(
    st.text(max_size=8), st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8)
)
EVENTS = st.lists(
    st.builds(
        AuditEvent,
        id=st.just(0),
        account_id=st.just(3),
        created_at=st.integers(0, 10**15).map(Instant),
        action=st.sampled_from(AuditAction),
        subject_id=st.none() | st.integers(1, 9),
        user_id=st.none() | st.integers(1, 9),
        through=st.sampled_from(Through),
        through_id=st.none() | st.integers(1, 9),
        address=st.none() | st.text(max_size=9),
        before=VALUES,
        after=VALUES,
    ),
    min_size=1,
    max_size=5,
)


def chain(events: list[AuditEvent]) -> list[Sealed]:
    entries: list[Sealed] = []
    previous = Head()
    for number, event in enumerate(events, 1):
        salts = [next(_salts).to_bytes(16, "big") for _ in range(3)]
        entry = sealed(msgspec.structs.replace(event, id=number), previous.hash, salts)
        previous = Head(number, entry.hash)
        entries.append(entry)
    return entries


def verified(entries: list[Sealed]) -> list[str]:
    found: list[str] = []
    last = Head()
    for one in entries:
        found += faults(one, last)
        last = Head(one.event.id, one.hash)
    return found


def emptied(entry: Sealed, *parts: str) -> Sealed:
    """The entry with the contents and salts of these parts removed."""
    fields = {
        "what": ("action", "subject_id"),
        "who": ("user_id", "through", "through_id", "address"),
        "changes": ("before", "after"),
    }
    event, seals = entry.event, {}
    for part in parts:
        event = msgspec.structs.replace(event, **dict.fromkeys(fields[part]))
        seals[part] = msgspec.structs.replace(getattr(entry, part), salt=None)
    return msgspec.structs.replace(entry, event=event, **seals)


@effort(40, 3_000)
@given(EVENTS)
def test_what_was_left_alone_verifies(events: list[AuditEvent]) -> None:
    assert verified(chain(events)) == []


@effort(40, 5_000)
@given(EVENTS, st.data())
def test_what_was_removed_with_its_salt_verifies(events: list[AuditEvent], data: Any) -> None:
    parts = st.lists(st.sampled_from(["what", "who", "changes"]), unique=True)
    assert verified([emptied(one, *data.draw(parts)) for one in chain(events)]) == []


FIELDS = [name for name in AuditEvent.__struct_fields__ if name != "id"]


@pytest.mark.parametrize("name", FIELDS)
@effort(30, 1_000)
@given(EVENTS, EVENTS, st.data())
def test_each_attribute_that_is_changed_is_found(
    name: str, events: list[AuditEvent], others: list[AuditEvent], data: Any
) -> None:
    entries = chain(events)
    place = data.draw(st.integers(0, len(entries) - 1))
    other = getattr(others[0], name) if name != "account_id" else 4
    event = entries[place].event
    if getattr(event, name) == other and type(getattr(event, name)) is type(other):
        return
    changed = msgspec.structs.replace(event, **{name: other})
    entries[place] = msgspec.structs.replace(entries[place], event=changed)
    assert any(f"entry {place + 1}" in one for one in verified(entries))


@effort(40, 2_000)
@given(EVENTS, st.data())
def test_an_entry_that_is_emptied_without_care_is_found(
    events: list[AuditEvent], data: Any
) -> None:
    """Contents without their salt, or a salt without its contents."""
    entries = chain(events)
    place = data.draw(st.integers(0, len(entries) - 1))
    one = entries[place]
    no_salt = msgspec.structs.replace(one, what=msgspec.structs.replace(one.what, salt=None))
    nothing = msgspec.structs.replace(one.event, action=None, subject_id=None)
    for wrong in (no_salt, msgspec.structs.replace(one, event=nothing)):
        assert verified([*entries[:place], wrong, *entries[place + 1 :]])


@effort(40, 2_000)
@given(EVENTS.filter(lambda events: len(events) > 2), st.data())
def test_entries_that_are_missing_or_moved_are_found(events: list[AuditEvent], data: Any) -> None:
    entries = chain(events)
    place = data.draw(st.integers(0, len(entries) - 2))
    assert verified([*entries[:place], *entries[place + 1 :]])
    moved = [*entries[:place], entries[place + 1], entries[place], *entries[place + 2 :]]
    assert verified(moved)
    # A different entry in this place: its seals are right, but the hash chain is not.
    first, second = entries[place].event, entries[place + 1].event
    forged = sealed(msgspec.structs.replace(second, id=first.id), b"\0" * 32, [b"s"] * 3)
    if place:
        assert verified([*entries[:place], forged, *entries[place + 1 :]])


def test_the_hashes_of_equal_contents_differ() -> None:
    """Otherwise a reader of the hashes could guess the contents and compare."""
    event = AuditEvent(
        id=1,
        account_id=1,
        created_at=Instant(0),
        action=AuditAction.SIGNED_IN,
        subject_id=1,
        user_id=1,
        through=Through.SESSION,
        through_id=None,
        address=None,
        before=None,
        after=None,
    )
    first, second = chain([event, event])
    assert first.who.hash != second.who.hash
    assert len({first.what.hash, first.who.hash, first.changes.hash}) == 3
