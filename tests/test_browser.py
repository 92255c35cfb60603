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
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "notebooks"))

from build import read_source

from lthlab import Recipe, build_model, train, widgets

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


def open_page(browser, **settings):
    """A page whose errors are kept in `page.complaints`."""
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 1000}} | settings)
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
    paths = [str(ROOT / "tests" / "offline"), str(ROOT / "docs"), os.environ.get("PYTHONPATH", "")]
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
    command = ["app", "08_sparsity_explorer.ipynb", "--no-browser", "--port={port}"]
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
    # Before it has its kernel, JupyterLab would ask for one, although the notebook names it; and
    # before the kernel answers, what is run is lost.
    page.get_by_text(re.compile(r"^Python 3.* \| Idle$")).wait_for(timeout=60_000)
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
    page = open_page(browser, has_touch=True)
    run_all(page, lab, "08_sparsity_explorer")
    yield page
    page.close()


def complaints(page) -> list[str]:
    """Errors on the page, without those of others' extensions that are missing or do not load."""
    foreign = ("Failed to load resource", "shared module")
    return [text for text in page.complaints if not any(words in text for words in foreign)]


def said(panel) -> str:
    return panel.locator("[role=status]").inner_text()


SEEN = """panel => [
    panel.querySelector('[role=status]').textContent,
    panel.querySelector('.shown > *').innerHTML
        + [...panel.querySelectorAll('canvas')].map(canvas => canvas.toDataURL()).join(),
]"""
# From the event to the first moment after the picture has been painted.
TIMES = """panel => {
    window.times = [];
    panel.addEventListener('input', () => {
        const asked = performance.now();
        requestAnimationFrame(() => setTimeout(() => times.push(performance.now() - asked)));
    }, true);
}"""


def differ(views: list, what: str) -> None:
    """Neither the sentence nor the picture is twice the same."""
    for part, name in enumerate(("sentence", "picture")):
        assert len({view[part] for view in views}) == len(views), f"{what} leaves the {name} alone"


def turn_every_knob(page, panel) -> list[float]:
    """Move every slider by keyboard, mouse and touch, and every list to each of its options."""
    panel.evaluate(TIMES)
    for slider in panel.locator("input[type=range]").all():
        name, last = slider.get_attribute("name"), int(slider.get_attribute("max"))
        slider.scroll_into_view_if_needed()
        slider.focus()
        page.keyboard.press("Home")
        views = [panel.evaluate(SEEN)]
        assert slider.input_value() == "0"
        for key in ["ArrowRight"] * min(last - 1, 4) + ["End"]:
            page.keyboard.press(key)
            views.append(panel.evaluate(SEEN))
        differ(views, f"{name}, by keyboard,")
        assert slider.input_value() == str(last)
        box = slider.bounding_box()
        for way, act in (("mouse", page.mouse.click), ("touch", page.touchscreen.tap)):
            views = []
            for share, value in ((0.01, 0), (0.5, None), (0.99, last)):
                act(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
                page.wait_for_timeout(30)
                views.append(panel.evaluate(SEEN))
                assert value is None or slider.input_value() == str(value), (name, way)
            differ(views, f"{name}, by {way},")
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for menu in panel.locator("select").all():
        views, name = [], menu.get_attribute("name")
        for number in range(menu.locator("option").count()):
            menu.select_option(index=number)
            views.append(panel.evaluate(SEEN))
        differ(views, name)
        menu.focus()
        page.keyboard.press("ArrowUp")
        assert panel.evaluate(SEEN) == views[-2], f"{name} does not answer to the keyboard"
    assert panel.locator(".lthlab-error").count() == 0, panel.locator(".lthlab-error").inner_text()
    return page.evaluate("times")


def turn_all(page, panels, where: str, record_property) -> None:
    """Turn every knob of every panel, but the live lab's; an answer takes less than 50 ms."""
    for number in range(panels.count()):
        panel = panels.nth(number)
        title = panel.locator(".title").inner_text()
        if title == "Live lab":
            continue
        times = turn_every_knob(page, panel)
        told = f"median answer {statistics.median(times):.0f} ms, slowest {max(times):.0f} ms"
        record_property("measured", f"{title}, {where}: {told}, {len(times)} moves")
        assert statistics.median(times) < 100, "50 on an idle machine"
        ARTEFACTS.mkdir(exist_ok=True)
        panel.screenshot(path=ARTEFACTS / f"panel-{where}-{number}.png")


@pytest.fixture(scope="module")
def panels_page(tmp_path_factory, tiny, tiny_words):
    """All knobs on a page as any exporter writes it: a file on the disk, no server, no kernel."""
    network = build_model("mlp-8", tiny)
    train(network, tiny, Recipe("adam", 1e-2, batch_size=20, duration="10ep"), evaluate_every=0)
    panels = [
        widgets.sparsity_explorer(network, tiny),
        widgets.ticket_race("mnist1d"),
        widgets.rewind_dial(),
        widgets.cost_calculator(),
        widgets.word_pruner(build_model("gpt-1x8", tiny_words), tiny_words),
    ]
    bundles = "".join(panel._repr_mimebundle_()["text/html"] for panel in panels)
    path = tmp_path_factory.mktemp("panels") / "panels.html"
    head = (
        '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    )
    path.write_text(head + bundles, encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [390, 1280])
def test_every_knob_answers_on_a_page_without_a_kernel(
    browser, panels_page, width, record_property
):
    page = open_page(browser, viewport={"width": width, "height": 900}, has_touch=True)
    page.goto(panels_page.as_uri())
    panels = page.locator(".lthlab-knob[data-live]")
    panels.nth(4).wait_for()
    turn_all(page, panels, f"page {width} px wide", record_property)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.complaints == []
    page.close()


def test_a_panel_says_what_it_shows_in_words_numbers_and_dashes(page, panels_page):
    page.goto(panels_page.as_uri())
    race, dial, cost = (page.locator(".lthlab-knob").nth(number) for number in (1, 2, 3))
    race.locator("[name=step]").focus()
    page.keyboard.press("End")
    shown = said(race)
    assert "Step 1600, 14.4 % of the weights kept, means of 10 seeds: dense 78" in shown
    assert race.locator(".pictures").get_attribute("aria-label") == shown
    assert race.locator("[name=step]").get_attribute("aria-valuetext") == "1600"
    dashes = "path => path.style.strokeDasharray"
    lines = [line.evaluate(dashes) for line in race.locator("figure path.line").all()]
    assert len(lines) == len({*lines}) == 4
    lines = pd.read_csv(ROOT / "lthlab/assets/reference/stability.csv").query("rewind_step == 0")
    wide = 1 - lines.pivot(index=["network", "seed", "pair"], columns="alpha", values="value")
    heights = 100 * (wide.max(axis=1) - (wide[0.0] + wide[1.0]) / 2).groupby("network").mean()
    dense, ticket = f"{heights['dense']:.1f}", f"{heights['ticket']:.1f}"
    expected = f"k = 0: barrier {dense} points between dense copies, {ticket} between tickets"
    assert said(dial).startswith(expected)
    for name, label in {
        "parameters": "175 billion (GPT-3)",
        "tokens": "300 billion (GPT-3)",
        "chip": "NVIDIA V100 (Patterson et al. 2021)",
    }.items():
        control = cost.locator(f"[name={name}]")
        if name == "chip":
            control.select_option(label=label)
            continue
        control.focus()
        page.keyboard.press("Home")
        while cost.locator(f"[name={name}] + output").inner_text() != label:
            page.keyboard.press("ArrowRight")
    # 6 * 1.75e11 * 3e11 FLOPs at 25 TFLOP/s; an hour is 1.50 dollars and 0.363 kWh; 480 g per kWh
    hours = 3.15e23 / 25e12 / 3600
    expected = [3.15e23, hours, hours / 8766, 1.5 * hours, 0.363 * hours, 0.363 * 0.48 * hours]
    cells = [float(text.replace(",", "")) for text in cost.locator("td").all_inner_texts()]
    assert cells == pytest.approx(expected, rel=0.005)


def test_dark_pages_get_light_lines_also_when_the_theme_changes(page, panels_page):
    page.goto(panels_page.as_uri())
    race = page.locator(".lthlab-knob").nth(1)
    ink = "panel => getComputedStyle(panel.querySelector('figure path.line')).stroke"
    before = race.evaluate(ink)
    page.evaluate("document.body.style.cssText = 'background: #111; color: #ddd'")
    page.locator(".lthlab-knob[data-dark]").nth(4).wait_for()
    assert race.evaluate(ink) != before
    page.evaluate("document.body.style.cssText = ''")
    wait_until(lambda: race.evaluate(ink) == before)


def test_an_error_in_the_front_end_is_shown_in_place(page, panels_page):
    text = panels_page.read_text(encoding="utf-8")
    broken = panels_page.with_name("broken.html")
    broken.write_text(text.replace('"curves":', '"lost":'), encoding="utf-8")
    page.goto(broken.as_uri())
    errors = page.locator(".lthlab-error")
    errors.first.wait_for()
    assert errors.count() == 1 and "TypeError" in errors.inner_text()
    assert "Something went wrong" in said(page.locator(".lthlab-knob").nth(1))
    assert page.locator(".lthlab-knob").nth(2).locator("svg").count() >= 3, "the others go on"


def test_the_first_notebook_runs_in_jupyterlab(page, lab):
    run_all(page, lab, "00_start_here")
    assert page.locator(".jp-RenderedImage img").count() >= 1
    assert complaints(page) == []


def test_every_knob_of_the_dashboard_answers(dashboard, record_property):
    panels = dashboard.locator(".lthlab-knob[data-live]")
    wait_until(lambda: panels.count() == 6)
    turn_all(dashboard, panels, "JupyterLab", record_property)
    assert complaints(dashboard) == []


def test_the_race_plays(dashboard):
    panel = dashboard.locator(".lthlab-knob").nth(1)
    panel.scroll_into_view_if_needed()
    panel.locator("[name=step]").focus()
    dashboard.keyboard.press("End")
    play = panel.get_by_role("button")
    assert play.inner_text() == "Play"
    play.click()
    wait_until(lambda: re.search(r"Step (5|[1-9]\d+),", said(panel)))
    assert play.inner_text() == "Pause"
    assert panel.locator("[role=status]").get_attribute("aria-live") == "off"
    play.click()
    then = said(panel)
    dashboard.wait_for_timeout(400)
    assert said(panel) == then and "Step 1600" not in then and play.inner_text() == "Play"
    assert panel.locator("[role=status]").get_attribute("aria-live") == "polite"
    assert complaints(dashboard) == []


def test_run_and_stop_of_the_live_lab(dashboard):
    page, panel = dashboard, dashboard.locator(".lthlab-knob").nth(5)
    panel.scroll_into_view_if_needed()
    run, stop = panel.get_by_role("button", name="Run"), panel.get_by_role("button", name="Stop")
    assert run.is_enabled() and stop.is_disabled() and "press Run" in said(panel)
    panel.locator("[name=network]").select_option("lenet-300-100 on fashion-mini")
    run.focus()
    page.keyboard.press("Enter")
    wait_until(lambda: re.search(r"after \d\d+ steps", said(panel)), 120)  # its process starts
    assert stop.is_enabled() and run.is_disabled() and panel.locator("path.line").count() >= 1
    free = page.locator(".jp-CodeCell", has_text="the kernel is free").last
    free.locator(".jp-InputArea-editor").click()  # another cell answers while it trains
    page.keyboard.press("Control+Enter")
    wait_until(lambda: "runs so far: 1" in free.inner_text())
    stop.click()
    wait_until(lambda: "Stopped." in said(panel))
    assert run.is_enabled() and stop.is_disabled()
    first = said(panel).partition("Stopped. ")[2].removesuffix(".")
    run.click()
    wait_until(lambda: said(panel).count("after") == 2, 120)
    stop.click()
    wait_until(run.is_enabled)
    assert first.startswith("1: dense, lenet") and first in said(panel), "the first run stays"
    ARTEFACTS.mkdir(exist_ok=True)
    panel.screenshot(path=ARTEFACTS / "live-lab.png")
    assert panel.locator(".lthlab-error").count() == 0 and complaints(page) == []


def test_the_app_shows_the_dashboard_without_code(browser, app, record_property):
    page = open_page(browser, has_touch=True)
    page.goto(app, wait_until="commit", timeout=120_000)  # it runs the notebook first
    panels = page.locator(".lthlab-knob[data-live]")
    panels.nth(5).wait_for(timeout=120_000)
    assert page.locator(".jp-InputArea-editor:visible, .jp-CodeMirrorEditor:visible").count() == 0
    assert "import torch" not in page.locator("body").inner_text()
    turn_all(page, panels, "Voila", record_property)
    assert panels.nth(5).get_by_role("button", name="Run").is_enabled()
    assert page.locator(".lthlab-error").count() == 0 and complaints(page) == []
    page.close()


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
