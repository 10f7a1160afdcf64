"""Settings, networks and tokens."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from invoca_bulk.config import settings
from invoca_bulk.config.journal_location import resolve_journal_location
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options
from invoca_bulk.config.secrets import Token
from invoca_bulk.errors import ConfigError

SECRET = "s3cret-t0ken"


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format], ids=["repr", "str", "format", "format-repr"])
@pytest.mark.parametrize("holder", [Token(SECRET), Network(network_id="1", token=SECRET)], ids=["token", "network"])
def test_token_is_masked(holder: object, show: object) -> None:
    """No text representation of a token or a network contains the token."""
    assert SECRET not in show(holder)  # type: ignore[operator]


def test_token_is_not_pickled() -> None:
    """A pickled network would carry the token into files and other processes."""
    with pytest.raises(TypeError):
        pickle.dumps(Network(network_id="1", token=SECRET))


def test_token_survives_a_copy() -> None:
    """Records that hold a token can be copied."""
    assert copy.copy(Network(network_id="1", token=SECRET)).secret.reveal() == SECRET


def test_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """INVOCA_API_TOKEN is used only if no token is passed."""
    monkeypatch.setenv("INVOCA_API_TOKEN", f" {SECRET}\n")
    assert Network(network_id="1").secret.reveal() == SECRET
    assert Network(network_id="1", token="another").secret.reveal() == "another"


@pytest.mark.parametrize("text", [None, "", "  "], ids=["not set", "empty", "blank"])
def test_missing_token_is_refused_without_a_terminal(text: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the environment variable to set."""
    if text is not None:
        monkeypatch.setenv("INVOCA_API_TOKEN", text)
    with pytest.raises(ConfigError, match=r"The API token is missing\. Set the environment variable INVOCA_API_TOKEN"):
        Network(network_id="1")


def test_token_is_asked_for_last() -> None:
    """The other arguments are checked first."""
    with pytest.raises(ConfigError, match="network id"):
        Network(network_id="no id")


def test_token_is_asked_for_at_a_terminal() -> None:
    """The terminal does not show the typed token, valid or not."""
    pty = pytest.importorskip("pty")
    code = "from invoca_bulk.config.network import Network; print(Network(network_id='1').secret.reveal()[::-1])"
    for typed, end in ((SECRET, SECRET[::-1]), ("not one", "Copy it again.")):
        controller, terminal = pty.openpty()
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
        with subprocess.Popen([sys.executable, "-c", code], start_new_session=True, **streams) as process:
            os.close(terminal)
            shown = _read(controller, until="API token: ")
            os.write(controller, f"{typed}\n".encode())
            shown += _read(controller)
            process.wait()
        os.close(controller)
        assert end in shown
        assert typed not in shown


def _read(terminal: int, until: str = "") -> str:
    """What a terminal shows, up to the text `until` or the end."""
    shown = ""
    with contextlib.suppress(OSError):  # the program has ended
        while not (until and until in shown) and (chunk := os.read(terminal, 4096)):
            shown += chunk.decode()
    return shown


@pytest.mark.parametrize("token", [SECRET, "two words"], ids=["good", "bad"])
@pytest.mark.parametrize("wrong", [{"network_id": "no id"}, {"base_url": "http://elsewhere"}, {"api_version": "1"}])
def test_tracebacks_do_not_hold_the_token(token: str, wrong: dict[str, str]) -> None:
    """Not even tracebacks with local variables, as in error reports and IPython's Verbose mode."""
    with pytest.raises(ConfigError) as error_info:
        Network(**({"network_id": "1"} | wrong), token=token)  # type: ignore[arg-type]
    frames = traceback.TracebackException.from_exception(error_info.value, capture_locals=True).stack[1:]
    assert frames
    assert not any(token in text for frame in frames for text in (frame.locals or {}).values())


@pytest.mark.parametrize("text", ["", "  ", "two words", "tab\tinside", "nül", "line\nbreak"])
def test_malformed_token_is_refused(text: str) -> None:
    """A token that is not a valid header value is refused before anything is sent, and not shown."""
    with pytest.raises(ConfigError) as error_info:
        Token(text)
    assert not text.strip() or text not in str(error_info.value)


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
def test_good_base_url_is_normalized(url: str) -> None:
    """HTTPS anywhere, HTTP on loopback only; equal URLs are normalized, since journals are named after them."""
    normalized = url.rstrip("/").lower().removesuffix(":443")
    assert Network(network_id="1", token=SECRET, base_url=url).base_url == normalized


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
def test_bad_base_url_is_refused(url: str) -> None:
    """An insecure or malformed base URL is refused; the message does not repeat a password in it."""
    with pytest.raises(ConfigError) as error_info:
        Network(network_id="1", token=SECRET, base_url=url)
    assert "password" not in str(error_info.value)


@pytest.mark.parametrize("network_id", ["", "..", "1/2", "a b", "1?x", "\uff11\uff12"])
def test_network_id_that_would_change_the_path_is_refused(network_id: str) -> None:
    """A network id is letters and digits."""
    with pytest.raises(ConfigError, match="network id"):
        Network(network_id=network_id, token=SECRET)


@pytest.mark.parametrize("version", ["2017-08-31", "latest", "2022-8-1", "20220801", "2022-02-30"])
def test_unknown_version_lists_the_known_ones(version: str) -> None:
    """The message lists the known versions."""
    with pytest.raises(ConfigError, match=r"2017-09-01.*2026-02-01"):
        Network(network_id="1", token=SECRET, api_version=version)


@pytest.mark.parametrize("version", ["2017-09-01", "2021-02-11", "2023-10-09", "2030-01-31"])
def test_any_later_date_is_a_version(version: str) -> None:
    """The platform takes dates on which nothing changed."""
    assert Network(network_id="1", token=SECRET, api_version=version).api_version == version


@pytest.mark.parametrize(
    ("base_url", "network_id", "label"),
    [
        ("https://acme.invoca.net", None, "the network at https://acme.invoca.net"),
        ("https://acme.invoca.net", "7", "network 7 at https://acme.invoca.net"),
        ("http://127.0.0.1:8080", "", "the network at http://127.0.0.1:8080"),
    ],
)
def test_network_with_its_own_host(base_url: str, network_id: str | None, label: str) -> None:
    """A host of the network's own needs no id."""
    assert Network(base_url=base_url, network_id=network_id, token=SECRET).label == label


@pytest.mark.parametrize("base_url", ["https://invoca.net", "https://www.invoca.net", "https://invoca.net.example"])
def test_network_on_a_shared_host(base_url: str) -> None:
    """Elsewhere the id is required."""
    with pytest.raises(ConfigError, match="network id"):
        Network(base_url=base_url, token=SECRET)


@pytest.mark.parametrize(("name", "value"), [("concurrency", 0), ("rate", 0), ("timeout", -1), ("rate", float("nan"))])
def test_number_below_the_minimum_is_refused(name: str, value: float) -> None:
    """The message names the flag and the minimum."""
    with pytest.raises(ConfigError, match=f"--{name} is .* the minimum is"):
        settings.validate_number(name, value)


@pytest.mark.parametrize("text", ["postgresql+psycopg://u:hush-hush@h/d", "mysql://u:hush-hush@h/d"])
def test_unsupported_journal_url_is_refused(text: str) -> None:
    """An unsupported URL is not used as a folder name, which would contain the password."""
    with pytest.raises(ConfigError, match="postgresql://") as error_info:
        resolve_journal_location(text)
    assert "hush" not in str(error_info.value)
    assert str(resolve_journal_location("POSTGRESQL://u:hush-hush@h/d")) == "postgresql://u@h/d"


def test_detach_needs_cluster() -> None:
    """Without --cluster, --detach would be ignored and the numbers bought in the foreground."""
    with pytest.raises(ConfigError, match="--cluster"):
        Options(detach=True)


def test_journal_location(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The argument, else INVOCA_JOURNAL, else the user's state directory."""
    assert resolve_journal_location("here") == Path("here")
    monkeypatch.setenv("INVOCA_JOURNAL", str(tmp_path))
    assert resolve_journal_location(None) == tmp_path
    monkeypatch.delenv("INVOCA_JOURNAL")
    assert resolve_journal_location(None).parts[-2:] == ("invoca-bulk", "journal")
