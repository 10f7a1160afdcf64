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
from invoca_bulk.config.options import Options
from invoca_bulk.config.settings import Network, Token
from invoca_bulk.errors import ConfigError

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


def test_the_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not given; one that is given is not overruled."""
    monkeypatch.setenv("INVOCA_API_TOKEN", f" {SECRET}\n")
    assert Network(network_id="1").secret.reveal() == SECRET
    assert Network(network_id="1", token="another").secret.reveal() == "another"


@pytest.mark.parametrize("text", [None, "", "  "], ids=["not set", "empty", "blank"])
def test_without_a_token_and_anybody_to_ask_it_is_refused(text: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says where it can come from."""
    if text is not None:
        monkeypatch.setenv("INVOCA_API_TOKEN", text)
    with pytest.raises(ConfigError, match=r"There is no token\. Set the environment variable INVOCA_API_TOKEN"):
        Network(network_id="1")


def test_nobody_is_asked_for_a_token_in_vain() -> None:
    """Everything else is looked at first."""
    with pytest.raises(ConfigError, match="network id"):
        Network(network_id="no id")


def test_a_token_is_asked_for_at_a_terminal() -> None:
    """It is typed unseen, and neither it nor a mistyped one is in what the terminal shows."""
    pty = pytest.importorskip("pty")
    code = "from invoca_bulk.config.settings import Network; print(Network(network_id='1').secret.reveal()[::-1])"
    for typed, end in ((SECRET, SECRET[::-1]), ("not one", "Copy it again.")):
        ours, its = pty.openpty()
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), its)
        with subprocess.Popen([sys.executable, "-c", code], start_new_session=True, **streams) as process:
            os.close(its)
            shown = _read(ours, until="API: ")
            os.write(ours, f"{typed}\n".encode())
            shown += _read(ours)
            process.wait()
        os.close(ours)
        assert end in shown
        assert typed not in shown


def _read(terminal: int, until: str = "") -> str:
    """What a terminal shows, up to a text or its end."""
    shown = ""
    with contextlib.suppress(OSError):  # its program has ended
        while not (until and until in shown) and (part := os.read(terminal, 4096)):
            shown += part.decode()
    return shown


@pytest.mark.parametrize("token", [SECRET, "two words"], ids=["good", "bad"])
@pytest.mark.parametrize("wrong", [{"network_id": "no id"}, {"base_url": "http://elsewhere"}, {"api_version": "1"}])
def test_no_frame_of_a_refusal_holds_the_token(token: str, wrong: dict[str, str]) -> None:
    """A traceback with the variables of each frame, as error reports and IPython's Verbose mode have them."""
    with pytest.raises(ConfigError) as refused:
        Network(**({"network_id": "1"} | wrong), token=token)  # type: ignore[arg-type]
    frames = traceback.TracebackException.from_exception(refused.value, capture_locals=True).stack[1:]
    assert frames
    assert not any(token in text for frame in frames for text in (frame.locals or {}).values())


@pytest.mark.parametrize("text", ["", "  ", "two words", "tab\tinside", "nül", "line\nbreak"])
def test_token_that_cannot_be_one_is_refused(text: str) -> None:
    """A token that would break the header is refused before anything is sent, and not shown."""
    with pytest.raises(ConfigError) as refused:
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
    with pytest.raises(ConfigError) as refused:
        Network(network_id="1", token=SECRET, base_url=url)
    assert "password" not in str(refused.value)


@pytest.mark.parametrize("network_id", ["", "..", "1/2", "a b", "1?x", "\uff11\uff12"])
def test_network_id_that_would_change_the_path_is_refused(network_id: str) -> None:
    """A network id is letters and digits."""
    with pytest.raises(ConfigError, match="network id"):
        Network(network_id=network_id, token=SECRET)


def test_unknown_version_is_refused_with_the_known_ones() -> None:
    """The message lists the versions to choose from."""
    with pytest.raises(ConfigError, match=r"2017-09-01.*2026-02-01"):
        Network(network_id="1", token=SECRET, api_version="2020-01-01")


@pytest.mark.parametrize(("name", "value"), [("concurrency", 0), ("rate", 0), ("timeout", -1), ("rate", float("nan"))])
def test_number_below_the_minimum_is_refused(name: str, value: float) -> None:
    """The message names the flag and the minimum."""
    with pytest.raises(ConfigError, match=f"--{name} is .* at least"):
        settings.validate_number(name, value)


@pytest.mark.parametrize("text", ["postgresql+psycopg://u:hush-hush@h/d", "mysql://u:hush-hush@h/d"])
def test_a_journal_at_another_address_is_refused(text: str) -> None:
    """It is never taken for a folder, with the password in its name."""
    with pytest.raises(ConfigError, match="postgresql://") as refused:
        settings.resolve_journal_location(text)
    assert "hush" not in str(refused.value)
    assert str(settings.resolve_journal_location("POSTGRESQL://u:hush-hush@h/d")) == "postgresql://u@h/d"


def test_detach_goes_with_cluster() -> None:
    """Alone it would be passed over, and the numbers bought in the foreground."""
    with pytest.raises(ConfigError, match="--cluster"):
        Options(detach=True)


def test_journal_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As given, else from the environment, else in the user's state directory."""
    assert settings.resolve_journal_location("here") == Path("here")
    monkeypatch.setenv("INVOCA_JOURNAL", str(tmp_path))
    assert settings.resolve_journal_location(None) == tmp_path
    monkeypatch.delenv("INVOCA_JOURNAL")
    assert settings.resolve_journal_location(None).parts[-2:] == ("invoca-bulk", "journal")
