"""Dotted paths and JSON objects."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoca_bulk.schema import paths

NAMES = st.from_regex("[a-z_]{1,6}", fullmatch=True).filter(lambda name: name != paths.CUSTOM_DATA)
LEAVES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=3)
RECORDS = st.recursive(
    LEAVES,
    lambda inner: (
        st.dictionaries(NAMES, inner, min_size=1, max_size=3)
        | st.lists(st.dictionaries(NAMES, inner, min_size=1, max_size=3), min_size=1, max_size=12)
    ),
    max_leaves=8,
)
TREES = st.builds(
    lambda tree, custom: tree | ({paths.CUSTOM_DATA: custom} if custom else {}),
    st.dictionaries(NAMES, RECORDS, max_size=4),
    st.dictionaries(st.text(min_size=1), st.text(), max_size=3),
)


@given(tree=TREES)
def test_round_trip(tree: dict[str, Any]) -> None:
    """An object that is flattened and nested again is the same object, with any custom keys."""
    assert paths.nest(dict(paths.flatten(tree))) == tree


@pytest.mark.parametrize(
    ("path", "parts", "pattern"),
    [
        pytest.param("description", ["description"], "description", id="top"),
        pytest.param("local_center.tn_prefix", ["local_center", "tn_prefix"], "local_center.tn_prefix", id="nested"),
        pytest.param("users.12.role", ["users", "12", "role"], "users.#.role", id="numbered"),
        pytest.param("users.1.a.2.b", ["users", "1", "a", "2", "b"], "users.#.a.#.b", id="numbered-twice"),
        pytest.param("custom_data.channel", ["custom_data", "channel"], "custom_data.*", id="custom"),
        pytest.param("custom_data.a.b", ["custom_data", "a.b"], "custom_data.*", id="custom-with-a-dot"),
        pytest.param("custom_data.1", ["custom_data", "1"], "custom_data.*", id="custom-number"),
        pytest.param("custom_data.1.2", ["custom_data", "1.2"], "custom_data.*", id="custom-numbers"),
        pytest.param("custom_data.[]", ["custom_data", "[]"], "custom_data.*", id="custom-brackets"),
    ],
)
def test_parts(path: str, parts: list[str], pattern: str) -> None:
    """A path has its parts and its pattern; a key below custom_data is one part, even if it contains dots."""
    assert paths.split(path) == parts
    assert paths.to_pattern(path) == pattern


@pytest.mark.parametrize(
    ("pattern", "tree", "missing"),
    [
        pytest.param("name", {"name": "A"}, [], id="there"),
        pytest.param("name", {"name": False}, [], id="false"),
        pytest.param("name", {}, ["name"], id="absent"),
        pytest.param("name", {"name": None}, ["name"], id="null"),
        pytest.param("name", {"name": ""}, ["name"], id="empty"),
        pytest.param("users.#.role", {"users": [{"role": "Super"}, {}]}, ["users.2.role"], id="record"),
        pytest.param("a.#.b.#.c", {"a": [{"b": [{"c": 1}, {"c": ""}]}, {}]}, ["a.1.b.2.c"], id="record-in-record"),
        pytest.param("users.#.role", {"users": []}, [], id="empty-list"),
        pytest.param("users.#.role", {}, [], id="no-list"),
        pytest.param("users.#.role", {"users": "x"}, [], id="text-for-a-list"),
        pytest.param("users.#.role", {"users": ["x", {}]}, ["users.2.role"], id="text-for-a-record"),
    ],
)
def test_missing_paths(pattern: str, tree: dict[str, Any], missing: list[str]) -> None:
    """Each record lacks its own leaves; what is no list of records lacks none."""
    assert list(paths.missing_paths(pattern, tree)) == missing


@pytest.mark.parametrize(
    ("leaves", "tree"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"a.b": 1, "a.c": 2}, {"a": {"b": 1, "c": 2}}, id="nested"),
        pytest.param({"u.3.n": "c", "u.1.n": "a"}, {"u": [{"n": "a"}, {"n": "c"}]}, id="gap-and-order"),
        pytest.param({"u.10.n": "j", "u.9.n": "i"}, {"u": [{"n": "i"}, {"n": "j"}]}, id="numbers-not-texts"),
        pytest.param({"u.1.e.1.a": "x"}, {"u": [{"e": [{"a": "x"}]}]}, id="list-in-list"),
        pytest.param({"custom_data.1": "x"}, {"custom_data": {"1": "x"}}, id="custom-number-is-a-key"),
        pytest.param({"custom_data.a.b": "x"}, {"custom_data": {"a.b": "x"}}, id="custom-dot-is-part-of-the-key"),
        pytest.param({"custom_data.{}": "x"}, {"custom_data": {"{}": "x"}}, id="custom-braces"),
        pytest.param({"tn_prefix_whitelist": ["805"]}, {"tn_prefix_whitelist": ["805"]}, id="list-is-a-leaf"),
        pytest.param({"a": None, "b": False}, {"a": None, "b": False}, id="null-and-false"),
    ],
)
def test_nest(leaves: dict[str, Any], tree: dict[str, Any]) -> None:
    """Leaves give the object that the platform expects: numbers order the records of a list, keys stay keys."""
    assert paths.nest(leaves) == tree


@pytest.mark.parametrize(
    ("tree", "leaves"),
    [
        pytest.param({"errors": ["must be set"]}, [("errors", ["must be set"])], id="plain-list"),
        pytest.param({"a": []}, [("a", [])], id="empty-list"),
        pytest.param({"a": {}}, [("a", {})], id="empty-object"),
        pytest.param({"a": [{"b": 1}, "x"]}, [("a", [{"b": 1}, "x"])], id="mixed-list"),
        pytest.param({"a": [{"b": 1}, {"b": 2}]}, [("a.1.b", 1), ("a.2.b", 2)], id="records"),
    ],
)
def test_flatten(tree: dict[str, Any], leaves: list[tuple[str, Any]]) -> None:
    """Lists of plain values and empty containers are leaves; records are numbered from 1."""
    assert list(paths.flatten(tree)) == leaves
