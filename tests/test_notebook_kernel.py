"""In a real Jupyter kernel: the stop button, the progress bar, displayed output, and the token."""

from __future__ import annotations

import ast
import asyncio
import html
import json
import os
import re
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager

import invoca_bulk
from invoca_bulk.sandbox_server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = "a-token-that-must-not-be-shown"
#: Seconds to wait for an expected event.
TIMEOUT = 60


class Kernel:
    """A kernel and everything it has published."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self.published: list[dict[str, Any]] = []
        self.client = manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT)

    def begin(self, code: str, *, allow_stdin: bool = False) -> str:
        """Start a cell and return its message id."""
        return str(self.client.execute(code, allow_stdin=allow_stdin))

    def until(self, cell: str, condition: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """The messages of a cell, up to and including the first for which the condition holds."""
        messages = []
        while True:
            message = self.client.get_iopub_msg(timeout=TIMEOUT)
            self.published.append(message)
            if message["parent_header"].get("msg_id") == cell:
                messages.append(message)
                if condition(message):
                    return messages

    def end(self, cell: str) -> list[dict[str, Any]]:
        """The messages of a cell until it ends."""
        return self.until(cell, lambda message: message["content"].get("execution_state") == "idle")

    def run(self, code: str) -> list[dict[str, Any]]:
        """Run a cell without input; return its messages."""
        return self.end(self.begin(code))

    def run_with_input(self, code: str, text: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Run a cell that asks for input, and enter `text`; return the prompt and the messages."""
        cell = self.begin(code, allow_stdin=True)
        prompt = self.client.get_stdin_msg(timeout=TIMEOUT)["content"]
        self.client.input(text)
        return prompt, self.end(cell)

    def value(self, expression: str) -> Any:
        """The value of an expression, which has to be a literal."""
        return ast.literal_eval(displayed_text(self.run(expression)))


def displayed_text(messages: list[dict[str, Any]]) -> str:
    """Everything a cell displays, as text."""
    return "\n".join(
        content.get("text") or content.get("data", {}).get("text/plain", "") or "\n".join(content.get("traceback", []))
        for content in (message["content"] for message in messages)
        if "code" not in content
    )


def displayed(messages: list[dict[str, Any]], mime_type: str) -> list[str]:
    """What a cell displays of a MIME type such as `text/html`."""
    contents = [
        message["content"].get("data", {})
        for message in messages
        if message["msg_type"] in {"display_data", "execute_result"}
    ]
    return [content[mime_type] for content in contents if mime_type in content]


@contextmanager
def kernel_in(folder: Path, **environment: str) -> Iterator[Kernel]:
    manager = KernelManager(kernel_name="python3")
    folders = {name: str(folder / name) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "INVOCA_JOURNAL")}
    manager.start_kernel(env=os.environ | folders | {"INVOCA_SETTLE": "0.05"} | environment, cwd=str(folder))
    try:
        kernel = Kernel(manager)
        yield kernel
        kernel.client.stop_channels()
    finally:
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel shared by all tests that do not change its state; its environment has no settings of the platform."""
    with kernel_in(tmp_path_factory.mktemp("kernel")) as running:
        running.run("import invoca_bulk as ib, pandas as pd")
        yield running


def network_code(box: Sandbox, *, token: str = f", token={TOKEN!r}") -> str:
    """Python code that treats a sandbox as a real network."""
    return f"ib.Network(network_id={box.network_id!r}, base_url={box.base_url!r}{token})"


def run_code(box: Sandbox, rows: int, *, options: str = "") -> str:
    """The code of a cell that buys `rows` numbers."""
    return f"""
import pandas as pd
import invoca_bulk as ib
network = {network_code(box)}
sheet = pd.DataFrame({{"description": [f"Number {{number}}" for number in range({rows})]}}).assign(
    advertiser_id_from_network="A-1", advertiser_campaign_id_from_network="C-1", media_type="Online: Display")
results = ib.run(sheet, network, yes=True{options})
"""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def numbers_by_description(kernel: Kernel) -> dict[str, str]:
    """Description to promo number, for the rows that have one."""
    value: dict[str, str] = kernel.value("dict(results[['description', 'promo_number']].values.tolist())")
    return {name: number for name, number in value.items() if number}


# The stop button


def test_stop_button_stops_gracefully(kernel: Kernel) -> None:
    """The cell returns the results so far, with every issued number; the displayed command does the rest."""
    with Sandbox(open_campaigns=True, token=TOKEN, latency=0.2) as box:
        cell = kernel.begin(run_code(box, 30))
        wait_for(lambda: len(box.store.ledger) >= 5)
        kernel.manager.interrupt_kernel()
        messages = kernel.end(cell)
        issued = {entry.body["description"]: entry.number for entry in box.store.ledger}
        assert numbers_by_description(kernel) == issued
        run = kernel.value("results.attrs['run']")
        sentence = (
            f"Run {run} was interrupted: {len(issued)} rows are done, {30 - len(issued)} are left. To resume it: "
        )
        line = f'ib.resume(network, "{run}")'
        assert sentence + line in displayed_text(messages)
        assert "Stopping: waiting for the requests in flight." in displayed_text(messages)
        assert f"{len(issued)}/30" in widget_texts(messages)[-1], "the last count is displayed"
        kernel.run(f"results = {line}")
        assert len(numbers_by_description(kernel)) == len(box.store.ledger) == 30


def late_responses(app: Any) -> Any:
    """ASGI layer: POSTs are applied immediately but answered after 2 * TIMEOUT seconds."""

    async def serve_late(scope: Any, receive: Any, send: Any) -> None:
        async def send_late(message: Any) -> None:
            await asyncio.sleep(2 * TIMEOUT if scope["method"] == "POST" else 0)
            await send(message)

        await app(scope, receive, send_late)

    return serve_late


def test_second_press_stops_immediately(kernel: Kernel) -> None:
    """Requests in flight are abandoned: their rows are `unknown`, and the next run looks them up."""
    with Sandbox(open_campaigns=True, token=TOKEN, layers=[late_responses]) as box:
        cell = kernel.begin(run_code(box, 20, options=", concurrency=4, progress=False"))
        wait_for(lambda: len(box.store.ledger) == 4)
        kernel.manager.interrupt_kernel()
        kernel.until(cell, lambda message: "Stopping" in message["content"].get("text", ""))
        kernel.manager.interrupt_kernel()
        messages = kernel.end(cell)
        counts = kernel.value("results['result_status'].value_counts().to_dict()")
        assert counts == {"not_sent": 16, "unknown": 4}
        assert "0 rows are done, 20 are left. To resume it: ib.resume(" in displayed_text(messages)


# Displayed output


def widget_texts(messages: list[dict[str, Any]]) -> list[str]:
    """The successive texts of the progress bar's labels that contain figures."""
    states = [message["content"]["data"].get("state", {}) for message in messages if message["msg_type"] == "comm_msg"]
    return [html.unescape(state["value"]) for state in states if "/" in str(state.get("value", ""))]


def test_run_shows_a_progress_bar_and_a_summary(kernel: Kernel, tmp_path: Path) -> None:
    """A widget with the rate and the remaining time; then the chart, the outcomes' meanings and the results path."""
    path = tmp_path / "results.csv"
    with Sandbox(open_campaigns=True, token=TOKEN, latency=0.02) as box:
        box.faults = "limit=8"
        messages = kernel.run(run_code(box, 40, options=f", output={str(path)!r}"))
    texts = [text.replace("\u2007", " ") for text in widget_texts(messages)]
    assert "40/40" in texts[-1]
    assert any(re.search(r"<00:\d\d, +[\d.]+ rows/s, .*limit=[\d.]+/s", text) for text in texts), texts
    (summary,) = displayed(messages, "text/html")
    assert 'role="img"' in summary
    assert "40 of 40 rows are done." in summary
    assert f"Results: {path}" in summary
    assert "created" in displayed_text(messages)
    assert [message for message in messages if message["content"].get("name") == "stderr"] == []


def test_run_without_progress_shows_nothing(kernel: Kernel) -> None:
    """With `progress=False` the cell displays nothing."""
    with Sandbox(open_campaigns=True, token=TOKEN) as box:
        messages = kernel.run(run_code(box, 3, options=", progress=False"))
    assert {message["msg_type"] for message in messages} == {"status", "execute_input"}


def test_progress_bar_is_text_without_ipywidgets(tmp_path: Path) -> None:
    """Without errors or warnings, the count and the summary are shown as text."""
    (tmp_path / "ipywidgets.py").write_text("raise ImportError", encoding="utf-8")
    with Sandbox(open_campaigns=True, token=TOKEN) as box, kernel_in(tmp_path) as kernel:
        messages = kernel.run(run_code(box, 3))
    assert "3/3" in displayed_text(messages)
    assert "Warning" not in displayed_text(messages)
    assert "3 of 3 rows are done." in displayed_text(messages)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        pytest.param("ib.validate(sheet)", "3 rows checked", id="report"),
        pytest.param("ib.plan(sheet.assign(description='another'), network)", "3 create", id="plan"),
        pytest.param("ib.view(results)", "3 of 3 rows are done.", id="view"),
        pytest.param("ib.undo(results.attrs['run'], network)", "3 delete", id="undo"),
        pytest.param("ib.export('advertisers', network)", "users", id="frames"),
    ],
)
def test_reports_are_displayed(kernel: Kernel, expression: str, text: str) -> None:
    """Each report is displayed as HTML without scripts, with a plain text alternative."""
    with Sandbox(open_campaigns=True, token=TOKEN) as box:
        kernel.run(run_code(box, 3, options=", progress=False"))
        messages = kernel.run(expression)
    (page,) = displayed(messages, "text/html")
    assert text in re.sub(r"<[^>]*>", "", page)
    assert "<script" not in page
    assert displayed(messages, "text/plain")


def test_warnings_are_sentences_below_the_cell(kernel: Kernel) -> None:
    """Notices are displayed without a file name and line of code."""
    with Sandbox(token=TOKEN) as box:
        messages = kernel.run(f"""
import invoca_bulk as ib
campaigns = [{{"advertiser_id_from_network": "A-100", "advertiser_campaign_id_from_network": "C-9"}}]
frame = ib.export("promo_numbers", {network_code(box)}, campaigns=campaigns)
""")
    assert "C-9 are missing" in displayed_text(messages)
    assert "UserWarning" not in displayed_text(messages)
    (page,) = displayed(messages, "text/html")
    assert "Needs attention" in page


# The token


def test_token_is_asked_for_and_not_stored(kernel: Kernel, tmp_path: Path) -> None:
    """Jupyter's hidden input asks for it; no kernel message, widget or saved notebook contains it."""
    with Sandbox(open_campaigns=True, token=TOKEN) as box:
        code = f"network = {network_code(box, token='')}; network"
        prompt, messages = kernel.run_with_input(code, TOKEN)
        assert prompt == {"prompt": "API token: ", "password": True}
        messages += kernel.run(run_code(box, 3).replace(f"network = {network_code(box)}", ""))
        assert len(box.store.ledger) == 3
    messages += kernel.run("vars(network), repr(network), str(network), network.token")
    messages += kernel.run("import copy; copy.deepcopy(network)")
    messages += kernel.run("import pickle; pickle.dumps(network)")
    assert "A token is not pickled." in displayed_text(messages)
    published = {"status", "execute_input", "comm_open", "comm_msg", "comm_close"}
    outputs = [nbformat.v4.output_from_msg(message) for message in messages if message["msg_type"] not in published]
    cell = nbformat.v4.new_code_cell(code, outputs=outputs)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "saved.ipynb")
    assert TOKEN not in (tmp_path / "saved.ipynb").read_text(encoding="utf-8")
    assert TOKEN not in json.dumps(messages, default=str)


#: A valid advertiser row.
ROW = [{"id_from_network": "A-1", "name": "Acme"}]
#: Kind of error to code that raises it; `typed()` returns the token without showing it in the traceback.
ERRORS = {
    "bad network id": 'ib.Network(network_id="no id", token=typed())',
    "bad base url": 'ib.Network(network_id="1", token=typed(), base_url="http://elsewhere.example")',
    "bad version": 'ib.Network(network_id="1", token=typed(), api_version="1999-01-01")',
    "bad token": 'ib.Network(network_id="1", token=typed() + " and more")',
    "unknown argument": 'ib.Network(network_id="1", token=typed(), tokn=1)',
    "token not accepted": 'ib.plan(sheet, ib.Network(network_id="1", token=typed() + "x", base_url=platform))',
    "wrong network": 'ib.plan(sheet, ib.Network(network_id="1", token=typed(), base_url=platform))',
    "not pickled": 'pickle.dumps(ib.Network(network_id="1", token=typed()))',
    "unknown option": 'ib.run(sheet, ib.Network(network_id="1", token=typed()), concurency=3)',
}


@pytest.mark.parametrize("code", ERRORS.values(), ids=ERRORS)
def test_tracebacks_do_not_contain_the_token(kernel: Kernel, code: str) -> None:
    """Not even with `%xmode Verbose`, which prints the variables of every frame."""
    with Sandbox(token=TOKEN) as box:
        kernel.run("import pickle, getpass; import invoca_bulk as ib; typed = lambda: getpass.getpass()")
        kernel.run(f"platform = {box.base_url!r}; sheet = {{'advertisers': pd.DataFrame({ROW})}}")
        kernel.run("%xmode Verbose")
        _, messages = kernel.run_with_input(code, TOKEN)
    kernel.run("%xmode Context")
    assert [message["msg_type"] for message in messages if message["msg_type"] == "error"] == ["error"]
    assert TOKEN not in json.dumps(messages, default=str)


def test_token_in_a_variable_would_be_shown(kernel: Kernel) -> None:
    """Control for the test above: a token in a local variable is in the traceback."""
    kernel.run("import getpass; typed = lambda: getpass.getpass()\ndef careless(token): raise ValueError(len(token))")
    kernel.run("%xmode Verbose")
    _, messages = kernel.run_with_input("careless(typed())", TOKEN)
    kernel.run("%xmode Context")
    assert TOKEN in json.dumps(messages, default=str)


def test_malformed_token_is_not_shown(kernel: Kernel) -> None:
    """Text typed into the hidden input by mistake may be a secret too."""
    kernel.run("%xmode Verbose")
    _, messages = kernel.run_with_input('ib.Network(network_id="1")', "hush hush")
    kernel.run("%xmode Context")
    assert "The token is empty or contains characters" in displayed_text(messages)
    assert "hush hush" not in json.dumps(messages, default=str)


def test_missing_token_without_input_names_the_variable(kernel: Kernel) -> None:
    """A notebook run by a program has no input: our message is shown, not Jupyter's error."""
    assert "Set the environment variable INVOCA_API_TOKEN" in displayed_text(kernel.run('ib.Network(network_id="1")'))


def test_token_comes_from_the_environment(tmp_path: Path) -> None:
    """The user is not asked if the variable is set."""
    with kernel_in(tmp_path, INVOCA_API_TOKEN=TOKEN) as kernel:
        messages = kernel.run('import invoca_bulk as ib; ib.Network(network_id="1").secret.reveal() == ' + repr(TOKEN))
    assert displayed(messages, "text/plain") == ["True"]


def test_nest_asyncio_is_not_used() -> None:
    """`nest_asyncio` patches the event loop of the whole kernel; a separate thread does not."""
    sources = Path(invoca_bulk.__file__).parent.rglob("*.py")
    assert [path for path in sources if "import nest_asyncio" in path.read_text(encoding="utf-8")] == []
