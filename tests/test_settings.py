"""Settings, networks and tokens."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from invoca_bulk import settings
from invoca_bulk.errors import SettingInvalid
from invoca_bulk.settings import Network, Token

SECRET = "s3cret-t0ken"


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format], ids=["repr", "str", "format", "format-repr"])
@pytest.mark.parametrize("holder", [Token(SECRET), Network(network_id="1", token=SECRET)], ids=["token", "network"])
def test_token_shows_itself_to_nobody(holder: object, show: object) -> None:
    """No text that is made of a token or a network holds the token."""
    assert SECRET not in show(holder)  # type: ignore[operator]


def test_token_is_not_pickled() -> None:
    """A pickled network would carry the token into files and other processes."""
    with pytest.raises(TypeError):
        pickle.dumps(Network(network_id="1", token=SECRET))


def test_token_survives_a_copy() -> None:
    """Records that hold a token can be copied."""
    assert copy.copy(Network(network_id="1", token=SECRET)).secret.reveal() == SECRET


@pytest.mark.parametrize("text", ["", "  ", "two words", "tab\tinside", "nül", "line\nbreak"])
def test_token_that_cannot_be_one_is_refused(text: str) -> None:
    """A token that would break the header is refused before anything is sent, and not shown."""
    with pytest.raises(SettingInvalid) as refused:
        Token(text)
    assert not text.strip() or text not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://invoca.net",
        "https://ACME.invoca.net:443/",
        "http://127.0.0.1:8080",
        "http://localhost:1",
        "http://[::1]:5",
    ],
)
def test_base_url_that_is_taken(url: str) -> None:
    """HTTPS anywhere, HTTP on this machine only; one platform has one spelling, since its journal is named after it."""
    spelt = url.rstrip("/").lower().removesuffix(":443")
    assert Network(network_id="1", token=SECRET, base_url=url).base_url == spelt


@pytest.mark.parametrize(
    "url",
    [
        "http://invoca.net",
        "http://127.0.0.1.evil.example",
        "ftp://invoca.net",
        "invoca.net",
        "https://user:password@invoca.net",
        "https://invoca.net?x=1",
        "https://",
        "",
        "http://[::1",
        "https://invoca.net:99999",
        "https://invoca.net/api",
    ],
)
def test_base_url_that_is_refused(url: str) -> None:
    """A base URL that would show the token on the way, or is none, is refused; a password in it is not repeated."""
    with pytest.raises(SettingInvalid) as refused:
        Network(network_id="1", token=SECRET, base_url=url)
    assert "password" not in str(refused.value)


@pytest.mark.parametrize("network_id", ["", "..", "1/2", "a b", "1?x", "\uff11\uff12"])
def test_network_id_that_would_change_the_path_is_refused(network_id: str) -> None:
    """A network id is letters and digits."""
    with pytest.raises(SettingInvalid, match="network id"):
        Network(network_id=network_id, token=SECRET)


def test_unknown_version_is_refused_with_the_known_ones() -> None:
    """The message lists the versions to choose from."""
    with pytest.raises(SettingInvalid, match=r"2017-09-01.*2026-02-01"):
        Network(network_id="1", token=SECRET, api_version="2020-01-01")


@pytest.mark.parametrize(("name", "value"), [("concurrency", 0), ("rate", 0), ("timeout", -1), ("rate", float("nan"))])
def test_number_below_the_minimum_is_refused(name: str, value: float) -> None:
    """The message names the flag and the minimum."""
    with pytest.raises(SettingInvalid, match=f"--{name} is .* at least"):
        settings.checked_number(name, value)


def test_journal_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As given, else from the environment, else in the user's state directory."""
    assert settings.journal_folder("here") == Path("here")
    monkeypatch.setenv("INVOCA_JOURNAL", str(tmp_path))
    assert settings.journal_folder(None) == tmp_path
    monkeypatch.delenv("INVOCA_JOURNAL")
    assert settings.journal_folder(None).parts[-2:] == ("invoca-bulk", "journal")
