"""The library's functions: their examples, their arguments, and what they say about wrong ones."""

from __future__ import annotations

import doctest
import inspect
from dataclasses import fields
from typing import TYPE_CHECKING

import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk import errors
from invoca_bulk.manual import read_topics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from invoca_bulk.sandbox_server import Sandbox

FUNCTIONS = [name for name in ib.__all__ if inspect.isfunction(getattr(ib, name)) and name != "page"]
#: The option that is no argument of `run`: a function returns or warns, and a door says.
INTERNAL_OPTIONS = {"ask_text", "say"}


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox, and a current folder with the sheet of the examples."""
    monkeypatch.chdir(tmp_path)
    row = {
        "advertiser_id_from_network": "A-1",
        "advertiser_campaign_id_from_network": "C-1",
        "description": "Radio",
        "media_type": "Online: Search",
    }
    pd.DataFrame([row]).to_csv("requests.csv", index=False)
    with ib.sandbox(open_campaigns=True) as sandbox:
        yield sandbox


@pytest.mark.parametrize("name", [*FUNCTIONS, "Network"])
def test_examples(name: str, network: Sandbox) -> None:
    """The example in each docstring works as written."""
    documented = inspect.unwrap(getattr(ib, name))
    (example,) = doctest.DocTestFinder(recurse=False).find(documented, name, globs={"ib": ib, "network": network})
    if name == "Network":
        example.globs["Network"] = ib.Network
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_documented_and_typed(name: str) -> None:
    """Tab completes real arguments, and the docstring describes each of them."""
    function = getattr(ib, name)
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.kind not in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL}
        assert parameter.annotation is not parameter.empty
        assert f"    {parameter.name}: " in (inspect.getdoc(function) or "")


def test_run_takes_every_option() -> None:
    """An option that is added is an argument of `run`, with the same default."""
    options = {field.name: field.default for field in fields(ib.Options) if field.name not in INTERNAL_OPTIONS}
    arguments = {name: parameter.default for name, parameter in inspect.signature(ib.run).parameters.items()}
    assert options.items() <= arguments.items()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ib.run("requests.csv", None, skip_invalids=True), r"run\(\).*'skip_invalids'.*'skip_invalid'"),
        (lambda: ib.plan("requests.csv", None, nestd="merge"), r"plan\(\).*'nestd'.*'nested'"),
        (lambda: ib.sandbox(latncy=1.0), r"sandbox\(\).*'latncy'.*'latency'"),
        (lambda: ib.template("advertisers", "a.xlsx", xyzzy=1), r"template\(\).*'xyzzy'\.$"),
    ],
    ids=["run", "plan", "sandbox", "nothing near"],
)
def test_a_misspelt_argument_names_the_nearest_one(call: object, message: str) -> None:
    """As Python itself does from 3.13 on."""
    assert callable(call)
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, r"The network is None\. Pass ib\.Network\(network_id=…\)"),
        ("1234", "a str, not a network"),
        (ib.sandbox(), r"is not running.*with ib\.sandbox\(\) as network"),
    ],
    ids=["None", "text", "not started"],
)
def test_a_wrong_network_is_a_sentence(target: object, message: str, network: Sandbox) -> None:
    """It says what to write instead, and nothing is sent."""
    for call in (ib.plan, ib.run):
        with pytest.raises(ib.UserError, match=message):
            call("requests.csv", target)  # type: ignore[arg-type]  # that is the mistake
    assert not network.store.ledger


def test_every_exception_is_exported() -> None:
    """Whatever is raised can be caught by its public name."""
    found = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert found | {"RowsInvalid"} <= set(ib.__all__)


def test_the_tree_of_exceptions_is_complete() -> None:
    """The tree at the top of `errors` names every exception below its base class."""
    tree = errors.__doc__ or ""
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, Exception):
            assert [line for line in tree.splitlines() if f"{name} " in line]
            if value.__base__ is not Exception:
                assert tree.index(value.__base__.__name__) < tree.index(name)


def test_help_is_formatted_in_a_notebook_and_text_elsewhere() -> None:
    """Without a topic it lists all of them."""
    topic = ib.help("columns")
    assert repr(topic) == topic._repr_markdown_() == topic.text
    assert topic.text.startswith("# Columns\n")
    overview = ib.help().text
    for name, each in read_topics().items():
        assert f"- `{name}`: {each.summary}\n" in overview


def test_an_unknown_topic_names_the_nearest() -> None:
    """The proposal is the whole call."""
    with pytest.raises(ib.UserError, match=r"no topic 'colums'\. Did you mean ib\.help\(\"columns\"\)\?"):
        ib.help("colums")
    with pytest.raises(ib.UserError, match=r"no topic 'xyzzy'\. ib\.help\(\) lists"):
        ib.help("xyzzy")


def test_a_template_never_replaces_a_file_unasked(tmp_path: Path) -> None:
    """It may be one that has been filled in."""
    path = tmp_path / "requests.csv"
    path.write_text("filled in")
    with pytest.raises(ib.OutputError, match="force=True"):
        ib.template("promo_numbers", path)
    assert path.read_text() == "filled in"
    ib.template("promo_numbers", path, force=True)
    assert "description" in path.read_text()


def test_a_network_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command line does; an argument comes first."""
    for name, value in {
        "INVOCA_BASE_URL": "https://acme.invoca.net",
        "INVOCA_NETWORK_ID": "77",
        "INVOCA_API_VERSION": "2018-11-01",
        "INVOCA_API_TOKEN": "a-token-of-the-environment",
    }.items():
        monkeypatch.setenv(name, value)
    network = ib.Network()
    assert (network.base_url, network.network_id, network.api_version) == (
        "https://acme.invoca.net",
        "77",
        "2018-11-01",
    )
    assert ib.Network(network_id="1", base_url="https://invoca.net").base_url == "https://invoca.net"
    monkeypatch.delenv("INVOCA_NETWORK_ID")
    assert ib.Network().network_id == ""  # the host is the network's own
    with pytest.raises(ib.ConfigError, match="INVOCA_NETWORK_ID"):
        ib.Network(base_url="https://invoca.net")


def test_runs_and_results_are_frames(network: Sandbox, tmp_path: Path) -> None:
    """What a run bought can be had again from the journal, without its file."""
    real = ib.Network(base_url=network.base_url, network_id=network.network_id, token=network.token)
    results = ib.run("requests.csv", real, yes=True, journal=tmp_path / "journal", progress=False)
    (row,) = ib.runs(journal=tmp_path / "journal").to_dict("records")
    assert (row["run"], row["state"], row["created"], row["can_be_resumed"]) == (
        results.attrs["run"],
        "finished",
        1,
        False,
    )
    pd.testing.assert_frame_equal(ib.results(row["run"], journal=tmp_path / "journal"), results)


def test_a_remedy_is_a_call(network: Sandbox, tmp_path: Path) -> None:
    """What a person can do is worded for whoever reads it: here in Python."""
    real = ib.Network(base_url=network.base_url, network_id=network.network_id, token=network.token)
    with pytest.raises(ib.ConfirmationRequiredError, match=r"To confirm: yes=True\.$"):
        ib.run("requests.csv", real, journal=tmp_path / "journal")
    run_id = ib.run("requests.csv", real, yes=True, journal=tmp_path / "journal").attrs["run"]
    with pytest.raises(
        ib.ConfirmationRequiredError,
        match=rf'ib\.results\("{run_id}", output="results\.xlsx", journal=.*\)\n.*again=True',
    ):
        ib.run("requests.csv", real, yes=True, journal=tmp_path / "journal")
