"""In a real kernel of Jupyter, as a notebook has it: the stop button, the bar, what is shown, and the token."""

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

TOKEN = "a-token-that-nobody-may-see"
#: Seconds after which something that has to happen has not happened.
PATIENCE = 60


class Kernel:
    """A kernel, and all that it has ever published."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self.published: list[dict[str, Any]] = []
        self.client = manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def begin(self, code: str, *, asks: bool = False) -> str:
        """Start a cell."""
        return str(self.client.execute(code, allow_stdin=asks))

    def until(self, cell: str, seen: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """What a cell publishes, up to and with the first message that is waited for."""
        messages = []
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            self.published.append(message)
            if message["parent_header"].get("msg_id") == cell:
                messages.append(message)
                if seen(message):
                    return messages

    def end(self, cell: str) -> list[dict[str, Any]]:
        """What a cell publishes, to its end."""
        return self.until(cell, lambda one: one["content"].get("execution_state") == "idle")

    def run(self, code: str) -> list[dict[str, Any]]:
        """Run a cell in which nobody can be asked."""
        return self.end(self.begin(code))

    def answer(self, code: str, text: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Run a cell that asks something, and answer it; the question and what was published."""
        cell = self.begin(code, asks=True)
        question = self.client.get_stdin_msg(timeout=PATIENCE)["content"]
        self.client.input(text)
        return question, self.end(cell)

    def value(self, expression: str) -> Any:
        """What an expression has for a value, which has to be a literal."""
        return ast.literal_eval(said(self.run(expression)))


def said(messages: list[dict[str, Any]]) -> str:
    """All that a cell shows, as text."""
    return "\n".join(
        content.get("text") or content.get("data", {}).get("text/plain", "") or "\n".join(content.get("traceback", []))
        for content in (one["content"] for one in messages)
        if "code" not in content
    )


def shown(messages: list[dict[str, Any]], kind: str) -> list[str]:
    """What a cell displays of a kind, such as `text/html`."""
    datas = [
        one["content"].get("data", {}) for one in messages if one["msg_type"] in {"display_data", "execute_result"}
    ]
    return [data[kind] for data in datas if kind in data]


@contextmanager
def kernel_in(folder: Path, **environment: str) -> Iterator[Kernel]:
    manager = KernelManager(kernel_name="python3")
    places = {name: str(folder / name) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "INVOCA_JOURNAL")}
    manager.start_kernel(env=os.environ | places | {"INVOCA_SETTLE": "0.05"} | environment, cwd=str(folder))
    try:
        kernel = Kernel(manager)
        yield kernel
        kernel.client.stop_channels()
    finally:
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One for all tests that leave it as it was; nothing in its environment says where the platform is."""
    with kernel_in(tmp_path_factory.mktemp("kernel")) as running:
        running.run("import invoca_bulk as ib, pandas as pd")
        yield running


def aimed_at(box: Sandbox, *, token: str = f", token={TOKEN!r}") -> str:
    """Python that names a sandbox as if it were a real network."""
    return f"ib.Network(network_id={box.network_id!r}, base_url={box.base_url!r}{token})"


def cell_of(box: Sandbox, rows: int, *, options: str = "") -> str:
    """A cell that buys so many numbers."""
    return f"""
import pandas as pd
import invoca_bulk as ib
network = {aimed_at(box)}
sheet = pd.DataFrame({{"description": [f"Number {{at}}" for at in range({rows})]}}).assign(
    advertiser_id_from_network="A-1", advertiser_campaign_id_from_network="C-1", media_type="Online: Display")
results = ib.run(sheet, network, yes=True{options})
"""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def numbers_on_rows(kernel: Kernel) -> dict[str, str]:
    """Description to number."""
    value: dict[str, str] = kernel.value("dict(results[['description', 'promo_number']].values.tolist())")
    return {name: number for name, number in value.items() if number}


# The stop button


def test_the_stop_button_stops_softly(kernel: Kernel) -> None:
    """The cell gives what is known: all issued numbers stand on rows; the line that it shows does the rest."""
    with Sandbox(open_campaigns=True, token=TOKEN, latency=0.2) as box:
        cell = kernel.begin(cell_of(box, 30))
        wait_for(lambda: len(box.store.ledger) >= 5)
        kernel.manager.interrupt_kernel()
        told = kernel.end(cell)
        issued = {one.body["description"]: one.number for one in box.store.ledger}
        assert numbers_on_rows(kernel) == issued
        run = kernel.value("results.attrs['run']")
        sentence = f"Run {run} was interrupted: {len(issued)} rows are done, {30 - len(issued)} are left. To go on: "
        line = f'ib.resume("{run}", network)'
        assert sentence + line in said(told)
        assert "Stopping: requests under way are awaited." in said(told)
        assert f"{len(issued)}/30" in widget_texts(told)[-1], "the last count is painted"
        kernel.run(f"results = {line}")
        assert len(numbers_on_rows(kernel)) == len(box.store.ledger) == 30


def late_answers(app: Any) -> Any:
    """A platform that creates numbers at once, and tells so when nobody waits any longer."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        async def send_late(message: Any) -> None:
            await asyncio.sleep(2 * PATIENCE if scope["method"] == "POST" else 0)
            await send(message)

        await app(scope, receive, send_late)

    return serve


def test_a_second_press_gives_up_at_once(kernel: Kernel) -> None:
    """Requests under way are not awaited any longer: their rows are `unknown`, and the next run looks them up."""
    with Sandbox(open_campaigns=True, token=TOKEN, layers=[late_answers]) as box:
        cell = kernel.begin(cell_of(box, 20, options=", concurrency=4, progress=False"))
        wait_for(lambda: len(box.store.ledger) == 4)
        kernel.manager.interrupt_kernel()
        kernel.until(cell, lambda one: "Stopping" in one["content"].get("text", ""))
        kernel.manager.interrupt_kernel()
        told = kernel.end(cell)
        counts = kernel.value("results['result_status'].value_counts().to_dict()")
        assert counts == {"not_sent": 16, "unknown": 4}
        assert "0 rows are done, 20 are left. To go on: ib.resume(" in said(told)


# What is shown


def widget_texts(messages: list[dict[str, Any]]) -> list[str]:
    """What the bar's labels show, one after the other, as far as they have figures."""
    states = [one["content"]["data"].get("state", {}) for one in messages if one["msg_type"] == "comm_msg"]
    return [html.unescape(state["value"]) for state in states if "/" in str(state.get("value", ""))]


def test_a_run_shows_a_bar_and_what_it_came_to(kernel: Kernel, tmp_path: Path) -> None:
    """A widget with the rate and the time left; then the chart, what the outcomes mean, and where the results are."""
    path = tmp_path / "results.csv"
    with Sandbox(open_campaigns=True, token=TOKEN, latency=0.02) as box:
        box.faults = "limit=8"
        told = kernel.run(cell_of(box, 40, options=f", output={str(path)!r}"))
    texts = [text.replace("\u2007", " ") for text in widget_texts(told)]
    assert "40/40" in texts[-1]
    assert any(re.search(r"<00:\d\d, +[\d.]+ rows/s, .*limit=[\d.]+/s", text) for text in texts), texts
    (ending,) = shown(told, "text/html")
    assert 'role="img"' in ending
    assert "40 of 40 rows are done." in ending
    assert f"Results: {path}" in ending
    assert "created" in said(told)
    assert [one for one in told if one["content"].get("name") == "stderr"] == []


def test_a_run_without_progress_shows_nothing(kernel: Kernel) -> None:
    """`progress=False` gives the frame and nothing else."""
    with Sandbox(open_campaigns=True, token=TOKEN) as box:
        told = kernel.run(cell_of(box, 3, options=", progress=False"))
    assert {one["msg_type"] for one in told} == {"status", "execute_input"}


def test_without_ipywidgets_the_bar_is_one_of_text(tmp_path: Path) -> None:
    """Nothing fails and nothing apologizes: the count to its end, and below it what the run came to."""
    (tmp_path / "ipywidgets.py").write_text("raise ImportError", encoding="utf-8")
    with Sandbox(open_campaigns=True, token=TOKEN) as box, kernel_in(tmp_path) as kernel:
        told = kernel.run(cell_of(box, 3))
    assert "3/3" in said(told)
    assert "Warning" not in said(told)
    assert "3 of 3 rows are done." in said(told)


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        pytest.param("ib.validate(sheet)", "3 rows checked", id="report"),
        pytest.param("ib.plan(sheet.assign(description='another'), network)", "3 create", id="plan"),
        pytest.param("ib.view(results)", "3 of 3 rows are done.", id="view"),
        pytest.param("ib.undo(results.attrs['run'], network)", "3 delete", id="undo"),
        pytest.param("ib.export('advertisers', network)", "users", id="frames"),
    ],
)
def test_what_a_cell_gives_is_shown(kernel: Kernel, expression: str, holds: str) -> None:
    """Each report has HTML of its own, and a text beside it for those who have no HTML."""
    with Sandbox(open_campaigns=True, token=TOKEN) as box:
        kernel.run(cell_of(box, 3, options=", progress=False"))
        told = kernel.run(expression)
    (page,) = shown(told, "text/html")
    assert holds in re.sub(r"<[^>]*>", "", page)
    assert "<script" not in page
    assert shown(told, "text/plain")


def test_what_has_to_be_told_is_a_sentence_below_the_cell(kernel: Kernel) -> None:
    """No warning between a file's name and a line of code, nothing in red."""
    with Sandbox(token=TOKEN) as box:
        told = kernel.run(f"""
import invoca_bulk as ib
campaigns = [{{"advertiser_id_from_network": "A-100", "advertiser_campaign_id_from_network": "C-9"}}]
frame = ib.export("promo_numbers", {aimed_at(box)}, campaigns=campaigns)
""")
    assert "C-9 are missing" in said(told)
    assert "UserWarning" not in said(told)
    (page,) = shown(told, "text/html")
    assert "Look at this" in page


# The token


def test_the_token_is_asked_for_and_lands_nowhere(kernel: Kernel, tmp_path: Path) -> None:
    """Jupyter's own hidden input asks; no message of the kernel, widgets included, and no saved notebook holds it."""
    with Sandbox(open_campaigns=True, token=TOKEN) as box:
        code = f"network = {aimed_at(box, token='')}; network"
        question, told = kernel.answer(code, TOKEN)
        assert question == {"prompt": "Token of the platform's API: ", "password": True}
        told += kernel.run(cell_of(box, 3).replace(f"network = {aimed_at(box)}", ""))
        assert len(box.store.ledger) == 3
    told += kernel.run("vars(network), repr(network), str(network), network.token")
    told += kernel.run("import copy; copy.deepcopy(network)")
    told += kernel.run("import pickle; pickle.dumps(network)")
    assert "A token is not pickled." in said(told)
    published = {"status", "execute_input", "comm_open", "comm_msg", "comm_close"}
    outputs = [nbformat.v4.output_from_msg(one) for one in told if one["msg_type"] not in published]
    cell = nbformat.v4.new_code_cell(code, outputs=outputs)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "saved.ipynb")
    assert TOKEN not in (tmp_path / "saved.ipynb").read_text(encoding="utf-8")
    assert TOKEN not in json.dumps(told, default=str)


#: A good row of an advertiser.
ROW = [{"id_from_network": "A-1", "name": "Acme"}]
#: What goes wrong, to the code of it; `typed` gives the token without standing in the traceback itself.
WRONG = {
    "no network id": 'ib.Network(network_id="no id", token=typed())',
    "no base url": 'ib.Network(network_id="1", token=typed(), base_url="http://elsewhere.example")',
    "no version": 'ib.Network(network_id="1", token=typed(), api_version="1999-01-01")',
    "no token": 'ib.Network(network_id="1", token=typed() + " and more")',
    "not a word of it": 'ib.Network(network_id="1", token=typed(), tokn=1)',
    "not accepted": 'ib.plan(sheet, ib.Network(network_id="1", token=typed() + "x", base_url=platform))',
    "another network": 'ib.plan(sheet, ib.Network(network_id="1", token=typed(), base_url=platform))',
    "not pickled": 'pickle.dumps(ib.Network(network_id="1", token=typed()))',
    "no such option": 'ib.run(sheet, ib.Network(network_id="1", token=typed()), concurency=3)',
}


@pytest.mark.parametrize("code", WRONG.values(), ids=WRONG)
def test_no_traceback_holds_the_token(kernel: Kernel, code: str) -> None:
    """Also with `%xmode Verbose`, which prints the variables of every frame."""
    with Sandbox(token=TOKEN) as box:
        kernel.run("import pickle, getpass; import invoca_bulk as ib; typed = lambda: getpass.getpass()")
        kernel.run(f"platform = {box.base_url!r}; sheet = {{'advertisers': pd.DataFrame({ROW})}}")
        kernel.run("%xmode Verbose")
        _, told = kernel.answer(code, TOKEN)
    kernel.run("%xmode Context")
    assert [one["msg_type"] for one in told if one["msg_type"] == "error"] == ["error"]
    assert TOKEN not in json.dumps(told, default=str)


def test_a_function_that_keeps_it_in_a_variable_would_show_it(kernel: Kernel) -> None:
    """The control: what the test above looks for is there, if it is not kept out."""
    kernel.run("import getpass; typed = lambda: getpass.getpass()\ndef careless(token): raise ValueError(len(token))")
    kernel.run("%xmode Verbose")
    _, told = kernel.answer("careless(typed())", TOKEN)
    kernel.run("%xmode Context")
    assert TOKEN in json.dumps(told, default=str)


def test_a_token_that_cannot_be_one_is_not_shown_either(kernel: Kernel) -> None:
    """What was typed by mistake into the hidden input may be a secret too."""
    kernel.run("%xmode Verbose")
    _, told = kernel.answer('ib.Network(network_id="1")', "hush hush")
    kernel.run("%xmode Context")
    assert "The token is empty, or holds spaces" in said(told)
    assert "hush hush" not in json.dumps(told, default=str)


def test_without_anybody_to_ask_it_says_where_the_token_comes_from(kernel: Kernel) -> None:
    """A notebook that a program runs has no input: a sentence, no error of Jupyter's."""
    assert "Set the environment variable INVOCA_API_TOKEN" in said(kernel.run('ib.Network(network_id="1")'))


def test_the_environment_gives_the_token(tmp_path: Path) -> None:
    """Nobody is asked when it is there."""
    with kernel_in(tmp_path, INVOCA_API_TOKEN=TOKEN) as kernel:
        told = kernel.run('import invoca_bulk as ib; ib.Network(network_id="1").secret.reveal() == ' + repr(TOKEN))
    assert shown(told, "text/plain") == ["True"]


def test_nothing_makes_loops_run_in_loops() -> None:
    """`nest_asyncio` changes the event loop of the whole kernel; a thread of our own does not."""
    sources = Path(invoca_bulk.__file__).parent.rglob("*.py")
    assert [path for path in sources if "nest_asyncio" in path.read_text(encoding="utf-8")] == []
