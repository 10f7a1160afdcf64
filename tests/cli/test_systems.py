"""What the command line prints and reads on the shells of other systems."""

from __future__ import annotations

import codecs
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from invoca_bulk.cli import HELP, common

if TYPE_CHECKING:
    from collections.abc import Callable

#: Word to how PowerShell reads it; cmd reads those without a single quote around them in the same way.
WINDOWS_WORDS = {
    r"C:\Users\kim\requests.xlsx": r"C:\Users\kim\requests.xlsx",
    "--rate": "--rate",
    "Größe.xlsx": "Größe.xlsx",
    "": '""',
    "requests (1).xlsx": '"requests (1).xlsx"',
    "requests(1).xlsx": '"requests(1).xlsx"',
    "R&D;plan,new.csv": '"R&D;plan,new.csv"',
    "Kim's.xlsx": '"Kim\'s.xlsx"',
    "@home.xlsx": '"@home.xlsx"',
    "C:\\my folder\\": '"C:\\my folder\\\\"',
    "Kim's $5.xlsx": "'Kim''s $5.xlsx'",
    "a`b": "'a`b'",
}


@pytest.mark.parametrize(("word", "quoted"), WINDOWS_WORDS.items())
def test_words_on_windows(word: str, quoted: str) -> None:
    """Only a word that a shell would change is quoted, with double quotes as far as they keep it as it is."""
    assert common.quote_word(word, "nt") == quoted


@pytest.mark.parametrize("word", WINDOWS_WORDS)
def test_words_on_other_systems(word: str) -> None:
    """A POSIX shell reads the word back."""
    assert shlex.split(common.quote_word(word, "posix")) == [word]


def test_a_program_in_quotes() -> None:
    """PowerShell runs a program in quotes only after an ampersand."""
    folder = r"C:\Kim Lee\.venv\Scripts\invoca-bulk"
    assert common.format_command(["run", "a b.csv"], [folder], "nt") == f'& "{folder}" run "a b.csv"'
    assert common.format_command(["run", "a b.csv"], ["/Kim Lee/invoca-bulk"], "posix") == (
        "'/Kim Lee/invoca-bulk' run 'a b.csv'"
    )
    assert common.format_command(["run", "a b.csv"], system="nt") == 'invoca-bulk run "a b.csv"'


def test_a_program_below_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows starts it by its whole path; the shorter one works too, but not a bare name, which shells look up."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    for path, words in {
        ".venv/bin/invoca-bulk": [str(Path(".venv/bin/invoca-bulk"))],
        "invoca-bulk": [str(tmp_path / "invoca-bulk")],
    }.items():
        monkeypatch.setattr(sys, "argv", [str(tmp_path / path)])
        assert common.current_program() == words


def test_variables() -> None:
    """Each shell has its own command for a variable."""
    variables = {"INVOCA_NETWORK_ID": "1234", "INVOCA_BASE_URL": "http://127.0.0.1:8080"}
    assert common.format_variables(variables, "nt") == (
        '$env:INVOCA_NETWORK_ID = "1234"; $env:INVOCA_BASE_URL = "http://127.0.0.1:8080"'
    )
    assert common.format_variables(variables, "posix") == (
        "export INVOCA_NETWORK_ID=1234 INVOCA_BASE_URL=http://127.0.0.1:8080"
    )


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "cp1252", "cp437", "ascii"])
def test_json_loses_nothing(encoding: str) -> None:
    """In the encoding of a file or pipe, which on Windows has few characters, the object is the same."""
    content = {"error": "row 2 → “Größe ≥ 3”: …"}
    assert json.loads(common.format_json(content, encoding).encode(encoding)) == content


def test_json_is_readable_in_utf8() -> None:
    """Where every character can be written, none is escaped."""
    assert "→" in common.format_json({"error": "→"}, "utf-8")


@pytest.mark.parametrize(
    "content",
    [
        b"the-secret-token\r\n",
        codecs.BOM_UTF8 + b"the-secret-token\r\n",
        codecs.BOM_UTF16_LE + "the-secret-token\r\n".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "the-secret-token\n".encode("utf-16-be"),
    ],
    ids=["plain", "byte order mark", "PowerShell 5", "big endian"],
)
def test_token_files_of_windows(content: bytes, tmp_path: Path) -> None:
    """A token that PowerShell or Notepad wrote is read."""
    (tmp_path / "token").write_bytes(content)
    token = common.read_token(tmp_path / "token")
    assert token is not None
    assert token.reveal() == "the-secret-token"


def test_the_help_needs_no_encoding() -> None:
    """It is printed before the streams are set up, so every console has its characters."""
    assert HELP.isascii()


def test_a_console_with_few_characters(cli: Callable[..., Any], tmp_path: Path) -> None:
    """Characters that it does not have become question marks; in JSON none is lost."""
    (tmp_path / "x.csv").write_text("description,media_type\n→ ≥,Online: Display\n", encoding="utf-8")
    ran = cli("validate", "x.csv", PYTHONIOENCODING="cp1252")
    assert (ran.code, "Traceback" in ran.err) == (2, False)
    ran = cli("validate", "→.csv", "--json", PYTHONIOENCODING="cp1252")
    assert "→.csv" in json.loads(ran.out)["error"]
