"""The notebooks and the app as people meet them: in a real browser, with mouse and keyboard.

Answer times are printed; screenshots are left in test-artefacts/.
"""

import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "notebooks"))

from build import read_source

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parent.parent
ARTEFACTS = ROOT / "test-artefacts"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# What a browser must not be told to fetch while it tests: it would only find a closed network.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


def find_browser(playwright) -> str:
    """A browser on this machine, else Playwright's own, else Debian's package."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    own = playwright.chromium.executable_path
    attempts = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        attempts += [
            ["apt-get", "update"],
            ["apt-get", "install", "-y", "--no-install-recommends", "chromium"],
        ]
    for command in attempts:
        if not Path(own).exists() and not shutil.which("chromium"):
            subprocess.run(
                command,
                capture_output=True,
                timeout=300,
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            )
    if found := (own if Path(own).exists() else shutil.which("chromium")):
        return found
    pytest.fail(
        "The browser tests need Chromium or Chrome and could not install one: install Chromium, or "
        "leave them out with `make test BROWSER=0`.",
        pytrace=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, str(ROOT / "docs" / "build_site.py"), str(folder)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-3000:]
    yield from serve(["http.server", "{port}", "--bind", "127.0.0.1"], folder, "/index.html")


def open_page(browser):
    """A page whose errors are kept in `page.complaints`."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda m: page.complaints.append(m.text) if m.type == "error" else None)
    return page


@pytest.fixture
def page(browser, request):
    """A page of one's own, with a screenshot taken at the end."""
    page = open_page(browser)
    yield page
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{request.node.name}.png")
    page.close()


def serve(command: list[str], folder: Path, ready: str):
    """Start a server on loopback in `folder`; yield its address when `ready` answers; stop it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    paths = [str(ROOT / "tests" / "offline"), os.environ.get("PYTHONPATH", "")]
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    whole = '{"windowingMode": "none"}'  # all cells are on the page
    (settings / "tracker.jupyterlab-settings").write_text(whole)
    (settings.parent / "apputils-extension").mkdir()
    (settings.parent / "apputils-extension" / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false"}'
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
    }
    environment.pop("MPLBACKEND", None)  # which tests set and readers do not
    address = f"http://127.0.0.1:{port}"
    with open(folder / "server.log", "w") as log:
        command = [sys.executable, "-m", *(part.format(port=port) for part in command)]
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(address + ready, timeout=5)
                break
            except OSError:
                time.sleep(0.25)
                assert server.poll() is None, (folder / "server.log").read_text()[-3000:]
        yield address
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    for notebook in ("00_start_here", "08_sparsity_explorer"):
        # Without outputs, to see them come.
        fresh = read_source(ROOT / "notebooks" / "source" / f"{notebook}.py")
        nbformat.write(fresh, folder / f"{notebook}.ipynb")
    command = [
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        "--port={port}",
        "--IdentityProvider.token=",
    ]
    yield from serve(command, folder, "/api")


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    shutil.copy(ROOT / "notebooks" / "08_sparsity_explorer.ipynb", folder)
    command = [
        "voila",
        "08_sparsity_explorer.ipynb",
        "--no-browser",
        "--Voila.ip=127.0.0.1",
        "--port={port}",
    ]
    yield from serve(command, folder, "/voila/static/voila.js")


def wait_until(true, seconds: float = 15):
    """Wait for a condition on the page; widgets replace their elements, so it is looked up anew."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.05)


def run_all(page, address: str, notebook: str, limit: float = 240) -> None:
    """Open a notebook in JupyterLab, run all its cells from the menu and wait for the last."""
    page.goto(f"{address}/lab/tree/{notebook}.ipynb?reset")  # without the tabs of the test before
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
    # Before it has its kernel, JupyterLab would ask for one, although the notebook names it.
    kernel = page.locator(".jp-NotebookPanel-toolbar .jp-KernelName", has_text="Python 3")
    kernel.wait_for(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    done, select = re.compile(r"\[\d+\]:").fullmatch, page.locator(".jp-Dialog .jp-mod-accept")

    def all_done() -> bool:
        if select.is_visible():
            select.click()
        return (seen := prompts.all_text_contents()) and all(map(done, seen))

    try:
        wait_until(all_done, limit)
    except AssertionError:
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / f"stuck-{notebook}.png")
        dialogs = page.locator(".jp-Dialog").all_inner_texts()
        pytest.fail(
            f"{notebook} did not run in {limit} s: prompts {prompts.all_text_contents()}, "
            f"dialogs {dialogs}, console {page.complaints[-5:]}",
            pytrace=False,
        )
    for kind in ("stderr", "error"):
        bad = page.locator(f".jp-OutputArea [data-mime-type='application/vnd.jupyter.{kind}']")
        assert bad.count() == 0, bad.first.inner_text()


@pytest.fixture(scope="module")
def dashboard(browser, lab):
    """Notebook 08 in JupyterLab, run whole, once for all its tests."""
    page = open_page(browser)
    run_all(page, lab, "08_sparsity_explorer")
    yield page
    page.close()


def complaints(page) -> list[str]:
    """Errors on the page, without those of others' extensions that are missing or do not load."""
    foreign = ("Failed to load resource", "shared module")
    return [text for text in page.complaints if not any(words in text for words in foreign)]


def said(panel) -> str:
    return panel.locator("[role=status]").inner_text()


WATCH = """panel => {
    window.asked = window.answered = null;
    const ask = () => { window.asked = performance.now(); };
    for (const kind of ['keydown', 'change'])
        panel.addEventListener(kind, ask, {capture: true, once: true});
    const watcher = new MutationObserver(changes => {
        const drawn = node => node.matches
            && (node.matches('img, table') || node.querySelector('img, table'));
        if (!changes.some(change => [...change.addedNodes].some(drawn))) return;
        const picture = panel.querySelector('img:last-of-type');
        const done = () => { window.answered = performance.now(); watcher.disconnect(); };
        picture && !picture.complete ? picture.addEventListener('load', done) : done();
    });
    watcher.observe(panel, {childList: true, subtree: true});
}"""


def answer_to(page, panel, act) -> float | None:
    """Milliseconds from the key or choice to the new picture, by the browser's clock.

    None where nothing changed.
    """
    panel.evaluate(WATCH)
    act()
    for _ in range(100):
        if page.evaluate("window.answered"):
            return page.evaluate("window.answered - window.asked")
        time.sleep(0.01)
    return None


def turn_every_knob(page, panel) -> list[float]:
    """Move each slider with the keyboard and the mouse, and choose every option of each list."""
    times = []
    for slider in panel.locator(".widget-slider").all():
        handle, label = slider.locator(".noUi-handle"), slider.locator("label").inner_text()
        slider.scroll_into_view_if_needed()
        handle.focus()
        sentences = [said(panel)]
        low, high = (float(handle.get_attribute(f"aria-value{end}")) for end in ("min", "max"))
        for key in ("ArrowRight",) * 6 + ("ArrowLeft",) * 3:
            if taken := answer_to(page, panel, lambda key=key: page.keyboard.press(key)):
                times.append(taken)
            sentences.append(said(panel))
        assert len(set(sentences)) > 2, f"{label} does not answer to the keyboard"
        box, ends = slider.locator(".noUi-target").bounding_box(), []
        for share in (0.0, 0.5, 1.0):
            page.mouse.click(
                box["x"] + share * (box["width"] - 2) + 1, box["y"] + box["height"] / 2
            )
            page.wait_for_timeout(350)
            ends.append((said(panel), float(handle.get_attribute("aria-valuenow"))))
        assert len({sentence for sentence, _ in ends}) == 3, f"{label} does not answer to the mouse"
        assert ends[0][1] == pytest.approx(low) and ends[2][1] == pytest.approx(high), (
            f"{label} does not reach its ends"
        )
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(350)
    for menu in panel.locator("select").all():
        for number in range(menu.locator("option").count()):
            if taken := answer_to(page, panel, lambda m=menu, n=number: m.select_option(index=n)):
                times.append(taken)
    assert panel.locator(".lthlab-error").count() == 0, panel.locator(".lthlab-error").inner_text()
    return times


def test_the_first_notebook_runs_in_jupyterlab(page, lab):
    run_all(page, lab, "00_start_here")
    assert page.locator(".jp-RenderedImage img").count() >= 1
    assert complaints(page) == []


def test_every_knob_of_the_dashboard_answers(dashboard, record_property):
    page, panels = dashboard, dashboard.locator(".lthlab-panel")
    assert panels.count() == 6
    for number in range(5):  # the sixth is the live lab
        panel = panels.nth(number)
        panel.scroll_into_view_if_needed()
        title, times = panel.locator("h3").inner_text(), turn_every_knob(page, panel)
        for picture in panel.locator("img").all():
            assert len(picture.get_attribute("alt")) > 40
        record_property(
            "measured",
            f"{title}: median answer {statistics.median(times):.0f} ms, "
            f"slowest {max(times):.0f} ms, {len(times)} moves",
        )
        ARTEFACTS.mkdir(exist_ok=True)
        panel.screenshot(path=ARTEFACTS / f"panel-{number}.png")
    assert complaints(page) == []


def test_the_race_plays(dashboard):
    page, panel = dashboard, dashboard.locator(".lthlab-panel").nth(1)
    panel.scroll_into_view_if_needed()
    step = int(re.search(r"Step (\d+)", said(panel))[1])
    panel.locator(".widget-play button, .jupyter-widget-play button").first.click()
    wait_until(lambda: int(re.search(r"Step (\d+)", said(panel))[1]) != step)
    then = said(panel)
    wait_until(lambda: said(panel) != then)
    assert complaints(page) == []


def test_run_and_stop_of_the_live_lab(dashboard):
    page, panel = dashboard, dashboard.locator(".lthlab-panel").nth(5)
    panel.scroll_into_view_if_needed()
    run, stop = panel.get_by_role("button", name="Run"), panel.get_by_role("button", name="Stop")
    assert run.is_enabled() and stop.is_disabled()
    panel.locator("select").first.select_option("fashion-mini")
    run.click()
    wait_until(lambda: re.search(r"after \d+ steps", said(panel)))
    assert stop.is_enabled() and run.is_disabled() and re.search(r"\d+ s left", panel.inner_text())
    free = page.locator(".jp-CodeCell", has_text="the kernel is free").last
    free.locator(".jp-InputArea-editor").click()  # another cell answers while it trains
    page.keyboard.press("Control+Enter")
    wait_until(lambda: "runs so far: 1" in free.inner_text())
    assert stop.is_enabled(), "the training should still be running"
    stop.click()
    wait_until(lambda: "stopped" in panel.inner_text())
    assert run.is_enabled() and stop.is_disabled()
    first = said(panel).removesuffix(".")
    run.click()
    wait_until(lambda: said(panel).count("after") == 2)
    stop.click()
    wait_until(run.is_enabled)
    assert first in said(panel), "the first run stays in the picture"
    ARTEFACTS.mkdir(exist_ok=True)
    panel.screenshot(path=ARTEFACTS / "live-lab.png")
    assert panel.locator(".lthlab-error").count() == 0 and complaints(page) == []


def test_the_app_shows_the_dashboard_without_code(page, app):
    page.goto(app, wait_until="commit", timeout=120_000)  # it runs the notebook first
    panels = page.locator(".lthlab-panel")
    panels.nth(5).wait_for(timeout=120_000)
    assert page.locator(".jp-InputArea-editor:visible, .jp-CodeMirrorEditor:visible").count() == 0
    assert "import torch" not in page.locator("body").inner_text()
    panel = panels.nth(0)
    panel.scroll_into_view_if_needed()
    before = said(panel)
    panel.locator(".noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    wait_until(lambda: said(panel) != before)
    assert page.locator(".lthlab-error").count() == 0 and complaints(page) == []


def test_the_site_has_its_pages_pictures_links_and_search(page, site):
    page.goto(site)
    titles = page.locator(".sidebar-tree a").all_inner_texts()
    assert len(titles) == len([*(ROOT / "notebooks" / "source").glob("*.py")]) + 1
    seen = set()
    for address in [a.evaluate("a => a.href") for a in page.locator(".sidebar-tree a").all()]:
        page.goto(address)
        broken = page.evaluate(
            "[...document.images]"
            ".filter(i => i.complete && !i.naturalWidth && i.src.startsWith(location.origin))"
            ".map(i => i.src)"
        )
        assert broken == [] and page.locator("h1").count() >= 1
        seen |= {
            link.split("#")[0]
            for link in page.evaluate("[...document.links].map(a => a.href)")
            if link.startswith(site)
        }
    for link in seen:
        assert page.request.get(link).ok, link
    page.goto(f"{site}/search.html?q=SynFlow")
    wait_until(lambda: page.locator("#search-results li").count() > 0)
    assert "before training" in page.locator("#search-results").inner_text()
    assert complaints(page) == []


def test_without_a_browser_one_sentence_says_what_to_do(monkeypatch):
    class Playwright:
        class chromium:
            executable_path = "/nowhere/chromium"

    tried = []
    apt_alone = {"apt-get": "/usr/bin/apt-get"}
    monkeypatch.setattr(shutil, "which", apt_alone.get)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: tried.append(command))
    advice = "install Chromium, or leave them out with `make test BROWSER=0`"
    with pytest.raises(pytest.fail.Exception, match=advice):
        find_browser(Playwright)
    assert tried[0][2:] == ["playwright", "install", "chromium"]
    assert len(tried) == 1 or tried[-1][:2] == ["apt-get", "install"]
