"""What was found before, by what was asked: bounded in bytes, whoever asks."""

import sys
from typing import Any, Final

import msgspec

# Of each memory of a database, about: counts of lists, and whom tokens stand for.
MEMORY_BYTES: Final = 8 * 1024 * 1024
# What the entries of the two dicts take beside key and value.
_ENTRY_BYTES: Final = 200


class Memory(dict[Any, Any]):
    """A dict that forgets everything when it would hold more than `most_bytes`.

    Weighing a key and a value takes some microseconds, and is done once for each that is kept.
    """

    def __init__(self, most_bytes: int = MEMORY_BYTES) -> None:
        super().__init__()
        self._most_bytes = most_bytes
        self._bytes = 0
        self._weights: dict[Any, int] = {}

    def __setitem__(self, key: object, value: object) -> None:
        self.keep(key, value, weight_of(key) + weight_of(value))

    def keep(self, key: object, value: object, weight: int) -> None:
        """Keep a value that takes `weight` bytes with its key, unless that is all there may be."""
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
        """How many bytes are kept, about."""
        return self._bytes

    def forget(self, key: object) -> None:
        """Leave nothing of a key, if there is anything. Another thread may do the same."""
        self._bytes -= self._weights.pop(key, 0)
        self.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self._weights.clear()
        self._bytes = 0


def weight_of(value: object) -> int:
    """How many bytes a value takes, with all that it is made of; about, and rather too many."""
    size = sys.getsizeof(value)
    if isinstance(value, tuple | list | frozenset | set):
        return size + sum(map(weight_of, value))
    if isinstance(value, dict):
        return size + sum(weight_of(key) + weight_of(one) for key, one in value.items())
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
        return size + sum(weight_of(getattr(value, name)) for name in names)
    return size
