"""The app, as strangers meet it: they turn knobs, and nothing else, and there is room for a few."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil
import pytest
from jupyter_client.session import Session
from tornado.httpclient import HTTPClientError
from tornado.ioloop import IOLoop
from tornado.websocket import websocket_connect

ROOT = Path(__file__).parent.parent
KNOB = "import ipywidgets\nipywidgets.IntSlider(description='knob')"
LIMIT = 2
pytestmark = pytest.mark.xdist_group("app")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A notebook with one knob, and beside it files that are nobody's business."""
    folder = tmp_path_factory.mktemp("app")
    about = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": about})
    notebook.cells = [nbformat.v4.new_code_cell(KNOB)]
    nbformat.write(notebook, folder / "knob.ipynb")
    for name in ("secret.txt", "secret.png", "secret.py"):
        (folder / name).write_text("nobody's business")
    return folder


def in_a_loop_of_its_own(conversation, **options):
    """In another thread: a browser of another test may hold a running loop in this one."""

    def run():
        return IOLoop(make_current=False).run_sync(conversation, **options)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def start(folder: Path, *options: str):
    """The app on a free port, with few places: its process and port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(ROOT / "docs" / "app.py"), "knob.ipynb", "--no-browser"]
    options = (f"--port={port}", f"--FewKernels.limit={LIMIT}", *options)
    environment = os.environ | {"JUPYTER_CONFIG_DIR": str(folder / "config")}
    with open(folder / "log", "w") as log:
        files = {"stdout": log, "stderr": log}
        server = psutil.Popen([*command, *options], cwd=folder, env=environment, **files)
    wait_until(lambda: get(port, "/voila/static/voila.js")[0] == 200, 40)
    return server, port


@pytest.fixture(scope="module")
def app(folder):
    server, port = start(folder, "--FewKernels.unwatched=1", "--FewKernels.cull_idle_timeout=600")
    yield server, port
    server.send_signal(signal.SIGTERM)
    server.wait(20)


def wait_until(true, seconds: float = 30):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.1)


def get(port: int, path: str) -> tuple[int, str]:
    """Status and text of an answer to exactly this path, which no client tidies."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except ConnectionRefusedError:
        return 0, ""
    finally:
        connection.close()


def kernels(server) -> list:
    """The processes of kernels that the app runs."""
    found = []
    for child in server.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended just now
            found += [child] * any("ipykernel" in word for word in child.cmdline())
    return found


def visit(port: int) -> str:
    """Open the app's page, when there is a place; returns the id of its kernel."""
    found = []

    def opened():
        status, text = get(port, "/")
        found.append(re.search(r'kernelId": "([\w-]+)"', text))
        return status == 200

    wait_until(opened)
    return found[-1][1]


def talk(port: int, kernel: str, kinds, until: str, subprotocol=None) -> list[str]:
    """Send messages to a kernel as a page would; what kinds came back, up to one."""
    session = Session(key=b"")
    address = f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels"

    async def conversation():
        socket = await websocket_connect(address, subprotocols=subprotocol and [subprotocol])
        assert socket.selected_subprotocol == subprotocol
        for channel, kind, content in kinds:
            message = session.msg(kind, content, metadata={"version": "1.0.0"})
            if subprotocol:
                parts = [message["header"], {}, message["metadata"], content]
                parts = [
                    channel.encode(),
                    *(json.dumps(part, default=str).encode() for part in parts),
                ]
                offsets = [8 * (len(parts) + 2)]
                for part in parts:
                    offsets.append(offsets[-1] + len(part))
                numbers = [len(offsets), *offsets]
                head = b"".join(number.to_bytes(8, "little") for number in numbers)
                await socket.write_message(head + b"".join(parts), binary=True)
            else:
                text = json.dumps({**message, "channel": channel, "buffers": []}, default=str)
                await socket.write_message(text)
        heard = []
        while until not in heard:
            answer = await socket.read_message()
            text = answer if isinstance(answer, str) else answer.decode("utf-8", "replace")
            heard += re.findall(r'"msg_type": ?"(\w+)"', text)[:1]
        socket.close()
        return heard

    return in_a_loop_of_its_own(conversation, timeout=30)


@pytest.mark.parametrize("subprotocol", [None, "v1.kernel.websocket.jupyter.org"])
def test_no_code_is_run_for_a_client(app, folder, subprotocol):
    _, port = app
    kernel = visit(port)
    proof = folder / f"executed-{subprotocol}"
    code = {
        "code": f"open({str(proof)!r}, 'w')",
        "silent": False,
        "store_history": False,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }
    run = {"code": f"open({str(proof)!r}, 'w')"}
    evaluate = {
        "command": "evaluate",
        "type": "request",
        "seq": 1,
        "arguments": {"expression": run["code"]},
    }
    kinds = [
        *((channel, "execute_request", code) for channel in ("shell", "control", "iopub", "stdin")),
        ("control", "debug_request", evaluate),
        ("shell", "inspect_request", {"code": "open", "cursor_pos": 4, "detail_level": 1}),
        ("shell", "complete_request", {"code": "op", "cursor_pos": 2}),
        (
            "shell",
            "history_request",
            {"output": True, "raw": True, "hist_access_type": "tail", "n": 9},
        ),
        ("shell", "create_subshell_request", {}),
        ("shell", "kernel_info_request", {}),  # the kernel answers, so it is alive and has read all
    ]
    heard = talk(port, kernel, kinds, "kernel_info_reply", subprotocol)
    assert not {"execute_reply", "execute_input", "debug_reply", "inspect_reply"} & set(heard)
    assert not {"complete_reply", "history_reply"} & set(heard) and not proof.exists()


def test_a_knob_answers(app):
    _, port = app
    opened = {"comm_id": "a" * 32, "target_name": "jupyter.widget.control", "data": {}}
    asked = {"comm_id": "a" * 32, "data": {"method": "request_states"}}
    kinds = [("shell", "comm_open", opened), ("shell", "comm_msg", asked)]
    assert "comm_msg" in talk(port, visit(port), kinds, "comm_msg"), "the states of its knobs"


def test_no_file_is_given(app, folder):
    _, port = app
    up = "..%2f" * 12
    files = [folder / f"secret.{kind}" for kind in ("txt", "png", "py")]
    files += [
        folder / "knob.ipynb",
        ROOT / "README.md",
        ROOT / "docs" / "race.png",
        Path("/etc/passwd"),
    ]
    places = [
        "",
        "voila/files/",
        "files/",
        "voila/static/",
        "static/",
        "api/contents/",
        "voila/tree/",
    ]
    places += ["voila/api/contents/", "voila/templates/lab/static/", "voila/templates/../static/"]
    places += ["voila/api/themes/", "voila/labextensions/", "voila/render/", "voila/files/..%2f"]
    places += ["voila/templates/..%2f/static/"]
    for path in files:
        for name in (path.name, str(path), f"..{path}", f"{up}{str(path)[1:]}", f"%2f{path}"):
            for place in places:
                status, text = get(port, f"/{place}{name}")
                assert status != 200, (status, place + name, text[:200])
    for path in (
        "/api/kernels",
        "/api/sessions",
        "/api/terminals",
        "/api/contents",
        "/voila/tree/",
    ):
        assert get(port, path)[0] != 200


def test_there_are_no_more_kernels_than_places(app):
    server, port = app
    answers = []
    for _ in range(2):
        wait_until(lambda: len(kernels(server)) <= LIMIT)
        visitors = [
            threading.Thread(target=lambda: answers.append(get(port, "/"))) for _ in range(6)
        ]
        for visitor in visitors:
            visitor.start()
        while any(visitor.is_alive() for visitor in visitors):
            assert len(kernels(server)) <= LIMIT
            time.sleep(0.1)
    refused = [text for status, text in answers if status == 503]
    assert len(refused) >= 8 and len(refused) < 12
    assert "All places are taken. Please try again in a few minutes." in refused[0]
    visit(port)  # those who came before opened no page after all, so there is room again


def test_it_listens_on_this_machine_alone_and_leaves_nothing_behind(folder):
    server, port = start(folder, "--FewKernels.cull_idle_timeout=2", "--FewKernels.cull_interval=1")
    listening = [c for c in server.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN]
    assert {c.laddr.ip for c in listening} == {"127.0.0.1"}
    assert port in {c.laddr.port for c in listening}
    kernel = visit(port)
    (process,) = kernels(server)

    async def hold_the_page_open():
        socket = await websocket_connect(f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels")
        await IOLoop.current().run_in_executor(None, process.wait, 30)
        socket.close()

    in_a_loop_of_its_own(hold_the_page_open)
    with pytest.raises(HTTPClientError):
        talk(port, kernel, [], "status")
    visit(port)
    left = kernels(server)
    server.send_signal(signal.SIGTERM)
    server.wait(20)
    assert left and not psutil.wait_procs(left, 10)[1]


def test_make_app_serves_the_dashboard_by_it():
    told = subprocess.run(["make", "-n", "app"], cwd=ROOT, capture_output=True, text=True).stdout
    assert "docs/app.py" in told
