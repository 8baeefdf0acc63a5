"""What was found before, by what was asked: bounded in bytes, whoever asks."""

import sys
from typing import Any, Final

import msgspec

# Of each memory of a database, about: counts of lists, and whom tokens stand for.
MEMORY_BYTES: Final = 8 * 1024 * 1024
# What an entry of a dict takes beside its key and its value.
_ENTRY_BYTES: Final = 100


class Memory(dict[Any, Any]):
    """A dict that forgets everything when it would hold more than `most_bytes`.

    Weighing a key and a value takes some microseconds, and is done once for each that is kept.
    """

    def __init__(self, most_bytes: int = MEMORY_BYTES) -> None:
        super().__init__()
        self._most_bytes = most_bytes
        self._bytes = 0

    def __setitem__(self, key: object, value: object) -> None:
        weight = _ENTRY_BYTES + weight_of(key) + weight_of(value)
        if key in self:
            del self[key]
        if self._bytes + weight > self._most_bytes:
            self.clear()
        self._bytes += weight
        super().__setitem__(key, value)

    def __delitem__(self, key: object) -> None:
        self._bytes -= _ENTRY_BYTES + weight_of(key) + weight_of(self[key])
        super().__delitem__(key)

    def forget(self, key: object) -> None:
        """Leave nothing of a key, if there is anything."""
        if key in self:
            del self[key]

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
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
