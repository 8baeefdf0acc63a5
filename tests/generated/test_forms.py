"""`nest` reads back everything that a Rails-style form can express."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from effort import effort
from healthreports.contract.bodies import nest

Pairs = list[tuple[str, str]]

texts = st.text(max_size=8)
keys = st.text(st.characters(exclude_characters="[]"), min_size=1, max_size=6).filter(
    lambda key: not key.isnumeric()  # a level whose keys are all digits is an array
)


def elements_alike(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Elements with the same keys. The first key has a text: its repetition starts an element."""

    def of(names: list[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
        first, *rest = names
        fields = {first: texts, **dict.fromkeys(rest, values)}
        element = st.tuples(*fields.values()).map(
            lambda drawn: dict(zip(names, drawn, strict=True))
        )
        return st.lists(element, min_size=1, max_size=4)

    return st.lists(keys, unique=True, min_size=1, max_size=4).flatmap(of)


def lists_of_texts() -> st.SearchStrategy[list[str]]:
    return st.lists(texts, min_size=1, max_size=4).filter(lambda items: items != [""])


def nested(depth: int, lists: Any) -> st.SearchStrategy[Any]:
    if depth == 0:
        return texts
    below = nested(depth - 1, lists)
    levels = st.dictionaries(keys, below, min_size=1, max_size=3)
    return st.one_of(texts, levels, lists(below), lists_of_texts(), st.just([]))


def roots(lists: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(keys, nested(3, lists), max_size=3)


def flattened(name: str, value: object, *, is_indexed: bool) -> Pairs:
    if isinstance(value, dict):
        parts = [(f"{name}[{key}]", one) for key, one in value.items()]
    elif isinstance(value, list) and value:
        parts = [(f"{name}[{index if is_indexed else ''}]", one) for index, one in enumerate(value)]
    elif isinstance(value, list):
        return [(f"{name}[]", "")]
    else:
        return [(name, str(value))]
    return [pair for key, one in parts for pair in flattened(key, one, is_indexed=is_indexed)]


def form(root: dict[str, Any], *, is_indexed: bool) -> Pairs:
    return [
        pair
        for name, value in root.items()
        for pair in flattened(name, value, is_indexed=is_indexed)
    ]


@effort(50, 5_000)
@given(root=roots(elements_alike))
@example(root={"status_report": {"details": [{"category": "Scope"}, {"category": "Budget"}]}})
def test_what_repeated_keys_spell_is_read_back(root: dict[str, Any]) -> None:
    assert nest(form(root, is_indexed=False)) == root


def unlike_elements(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Elements with arbitrary keys, which is possible if each element has an index."""
    return st.lists(st.dictionaries(keys, values, min_size=1, max_size=3), min_size=1, max_size=12)


@effort(80, 5_000)
@given(root=roots(unlike_elements), data=st.data())
def test_what_indices_spell_is_read_back_in_their_order(
    root: dict[str, Any], data: st.DataObject
) -> None:
    pairs = form(root, is_indexed=True)
    if not any(name.endswith("[]") for name, _ in pairs):
        pairs = data.draw(st.permutations(pairs))
    assert nest(pairs) == root
