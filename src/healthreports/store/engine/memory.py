"""A cache with a limit in bytes."""

import sys
from typing import Any, Final

import msgspec

# The approximate limit of each cache of a database: for example counts of lists, users of tokens.
MEMORY_BYTES: Final = 8 * 1024 * 1024
# The size of the entries in the two dicts, in addition to key and value.
_ENTRY_BYTES: Final = 200


class Memory(dict[Any, Any]):
    """A cache that is cleared when it would hold more than `most_bytes`.

    Measuring a key and a value takes some microseconds; it is done once for each entry.
    """

    def __init__(self, most_bytes: int = MEMORY_BYTES) -> None:
        super().__init__()
        self._most_bytes = most_bytes
        self._bytes = 0
        self._weights: dict[Any, int] = {}

    def __setitem__(self, key: object, value: object) -> None:
        self.keep(key, value, weight_of(key) + weight_of(value))

    def keep(self, key: object, value: object, weight: int) -> None:
        """Store a value that takes `weight` bytes with its key, unless it exceeds the limit."""
        weight += _ENTRY_BYTES
        self.forget(key)
        if self._bytes + weight > self._most_bytes:
            self.clear()
        if weight <= self._most_bytes:
            self._bytes += weight
            self._weights[key] = weight
            super().__setitem__(key, value)

    @property
    def bytes_kept(self) -> int:
        """The approximate size of all entries in bytes."""
        return self._bytes

    def forget(self, key: object) -> None:
        """Remove the entry of a key, if there is one. Another thread may do so at the same time."""
        self._bytes -= self._weights.pop(key, 0)
        self.pop(key, None)

    def clear(self) -> None:
        """Remove all entries."""
        super().clear()
        self._weights.clear()
        self._bytes = 0


def weight_of(value: object) -> int:
    """The approximate size of a value and its parts in bytes; rather too high than too low."""
    size = sys.getsizeof(value)
    if isinstance(value, tuple | list | frozenset | set):
        return size + sum(map(weight_of, value))
    if isinstance(value, dict):
        return size + sum(weight_of(key) + weight_of(one) for key, one in value.items())
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
        return size + sum(weight_of(getattr(value, name)) for name in names)
    return size
