"""The website: what is on its pages, that they fit, and that everyone can use them offline."""

import hashlib
import html
import importlib
import inspect
import re
import subprocess
import sys
import zlib
from base64 import b64decode
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from accessibility import FOUND, LONG_CODE, OVERFLOW, SHORTEN, THIN, fetch_axe
from test_browser import complaints, open_page, serve, wait_until

import lthlab

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))

import build_site
import site_pages

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("site")]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
REPO = "someone/a.course"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The site, built without a warning for a repository on GitHub."""
    folder = tmp_path_factory.mktemp("site") / "built"
    command = [sys.executable, ROOT / "docs" / "build_site.py", folder, "--repo", REPO]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def pages(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.html"))


@pytest.fixture(scope="module")
def site(folder):
    """The address of the site on a server of this machine."""
    yield from serve(["http.server", "{port}", "--bind", "127.0.0.1"], folder, "/index.html")


@pytest.fixture
def page(browser):
    page = open_page(browser)
    yield page
    page.close()


def test_the_start_page_shows_three_ways_in_and_every_notebook_with_its_question(page, site):
    page.goto(site)
    ways = page.locator("#three-ways-in > section")
    assert ways.locator("h3").all_inner_texts() == ["Learn", "Teach", "Research"]
    boxes = [way.bounding_box() for way in ways.all()]
    assert len({box["y"] for box in boxes}) == 1, "side by side where there is room"
    for way in ways.all():
        assert way.locator("li").count() == 3 and way.locator("a").count() >= 1
    rows = page.locator("#the-notebooks > ul > li").all_inner_texts()
    rows = [row.replace("’", "'") for row in rows]
    assert len(rows) == len(NOTEBOOKS)
    readme = (ROOT / "README.md").read_text()
    for path, row in zip(NOTEBOOKS, rows, strict=True):
        top = nbformat.read(path, as_version=4).cells[0].source
        question = re.search(rf"{path.name}\) \| (.*?) \|", readme)[1].replace("`", "")
        minutes = re.search(r"\*\*Time\*\*: ([a-z ]*\d+ minutes)", top)[1]
        assert row.startswith(f"{path.stem[:2]}: ") and question in row
        assert minutes in row.lower()


def test_links_lead_somewhere_and_the_search_finds(page, site, pages):
    seen = set()
    for name in pages:
        page.goto(f"{site}/{name}")
        seen |= set(page.evaluate("[...document.links].map(a => a.href)"))
    inside = {link for link in seen if link.startswith(site)}
    for link in {link.split("#")[0] for link in inside}:
        assert page.request.get(link).ok, link
    names = {
        name: set(re.findall(r' id="([^"]*)"', page.request.get(f"{site}/{name}").text()))
        for name in pages
    }
    for link in inside:
        name, _, place = link.removeprefix(f"{site}/").partition("#")
        assert not place or name not in names or place in names[name], link
    assert not [link for link in seen if not link.startswith((site, "https://"))]
    page.goto(f"{site}/search.html?q=SynFlow")
    wait_until(lambda: page.locator("#search-results li").count() > 0)
    assert "before training" in page.locator("#search-results").inner_text()
    assert complaints(page) == []


def test_signatures_name_types_and_show_no_address(folder):
    text = {
        page.stem: re.sub("<[^>]*>", "", page.read_text())
        for page in (folder / "api").glob("*.html")
    }
    assert not [
        name for name, words in text.items() if re.search(r"Annotated\[|at 0x|~\w+\.", words)
    ]
    assert "masks: Masks | None = None" in text["training"]
    assert "stops: Iterable[Duration] = ()" in text["training"]


def test_formulas_are_drawn_and_notebooks_lead_to_their_sheets(folder, pages):
    drawn = set()
    for name in pages:
        page = (folder / name).read_text()
        prose = re.sub("<(pre|code|script)\\b.*?</\\1>", "", page, flags=re.DOTALL)
        assert not re.search(r"\$\$|\\(frac|delta|cdot)\b", prose), name
        drawn |= {name} if "<math" in page else set()
        if re.match(r"\d\d_", name) and not name.startswith("08"):
            assert f'href="sheets/{name.removesuffix(".html")}_exercises.html"' in page
    assert {name[:2] for name in drawn} >= {"02", "07", "10"}


def test_opened_as_a_file_it_searches_filters_and_plays(page, folder):
    page.goto((folder / "search.html").as_uri() + "?q=rewind")
    wait_until(lambda: page.locator("#search-results li a").count() > 3)
    page.goto((folder / "claims.html").as_uri())
    assert page.locator(".filters").count() == 1
    page.goto((folder / "index.html").as_uri())
    page.locator("[data-ready=yes]").wait_for()
    # For its excerpts the search fetches pages, which browsers refuse from the disk.
    assert not [
        text for text in page.complaints if "fetch" not in text and "ERR_FAILED" not in text
    ]


def test_the_knobs_of_the_notebooks_are_live(page, folder):
    """Opened from the disk: no kernel, no server."""
    page.goto((folder / "08_sparsity_explorer.html").as_uri())
    panels = page.locator(".lthlab-knob[data-live]")
    wait_until(lambda: panels.count() == 5)
    for number in range(panels.count()):
        panel, seen = panels.nth(number), []
        panel.locator("input").first.focus()
        for key in ("Home", "ArrowRight", "End"):
            page.keyboard.press(key)
            seen.append((panel.locator(".said").inner_text(), panel.locator(".shown").inner_html()))
        assert len({sentence for sentence, _ in seen}) == len({drawn for _, drawn in seen}) == 3
    assert page.locator(".lthlab-error").count() == 0 and page.complaints == []


def test_every_page_fits_is_accessible_and_fetches_nothing(browser, folder, pages):
    """At 390 and 1300 pixels, light and dark, by axe-core; the page may ask for files alone."""
    axe, page = fetch_axe(), open_page(browser)
    asked, wrong = set(), []
    page.on("request", lambda request: asked.add(request.url))
    for name in pages:
        page.set_viewport_size({"width": 390, "height": 900})
        page.emulate_media(color_scheme="light")
        page.goto((folder / name).as_uri())
        wrong += [(name, 390, text) for text in page.evaluate(OVERFLOW)]
        page.set_viewport_size({"width": 1300, "height": 900})
        wrong += [(name, 1300, text) for text in page.evaluate(OVERFLOW)]
        wrong += [(name, "long code", text) for text in page.evaluate(LONG_CODE)]
        page.evaluate(SHORTEN)
        page.add_script_tag(path=axe)
        page_rules = {"rules": {"color-contrast": {"enabled": False}}}
        wrong += [(name, *found) for found in page.evaluate(FOUND, page_rules)]
        page.evaluate(THIN)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            if page.locator("[data-live]").count():
                page.wait_for_timeout(200)  # knobs take the colours of their page a moment later
            found = page.evaluate(FOUND, {"runOnly": ["color-contrast"]})
            wrong += [(name, rule, scheme, *where) for rule, where in found]
    page.close()
    assert not wrong, "\n".join(map(str, wrong[:20]))
    assert not [url for url in asked if not url.startswith(("file:", "blob:", "data:"))]


def test_the_focus_is_seen_and_motion_can_be_reduced(browser, site):
    page = browser.new_page(reduced_motion="reduce", viewport={"width": 1300, "height": 900})
    for name in ("index.html", "claims.html", "03_winning_tickets.html"):
        page.goto(f"{site}/{name}")
        for _ in range(45):
            page.keyboard.press("Tab")
            outline = page.evaluate("""() => {
                const e = document.activeElement, style = getComputedStyle(e);
                const outlined = style.outlineStyle !== "none" && style.outlineWidth !== "0px";
                return e === document.body || outlined ? "" : e.outerHTML.slice(0, 100)}""")
            assert outline == "", outline
    moves = page.evaluate("""[...document.querySelectorAll("*")].filter((e) =>
        parseFloat(getComputedStyle(e).transitionDuration) > 0).length""")
    assert moves == 0
    page.close()


def shown_rows(page) -> list[list[str]]:
    return page.locator(".filterable tbody tr:not([hidden])").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.trim()))"
    )


def test_the_claims_can_be_filtered_and_sorted_from_the_keyboard(page, site):
    table = pd.read_csv(
        ROOT / "lthlab" / "assets" / "reference" / "claims.csv", dtype={"notebook": str}
    )
    table = table[table["on_page"]]
    page.goto(f"{site}/claims.html")
    said = page.locator(".filterable [role=status]")
    everything = len(shown_rows(page))
    assert everything >= len(table) and said.inner_text() == f"{everything} of {everything} rows"
    page.get_by_label("verdict").focus()
    page.keyboard.type("seen")
    page.get_by_label("notebook").select_option("04")
    wanted = table[(table["verdict"] == "seen") & (table["notebook"] == "04")]
    assert len(shown_rows(page)) == len(wanted) > 5
    assert said.inner_text() == f"{len(wanted)} of {everything} rows"
    page.get_by_role("button", name="effect").focus()
    for key, way in (("Enter", "ascending"), ("Space", "descending")):
        page.keyboard.press(key)
        head = page.locator(f"th[aria-sort={way}]")
        assert head.inner_text().startswith("effect")
        effects = [float(row[4].split()[0]) for row in shown_rows(page)]
        expected = sorted(wanted["effect"].round(1), reverse=way == "descending")
        assert effects == pytest.approx(expected, abs=0.051)
    page.locator(".filters").get_by_label("Search").fill("SHUFFLED mnist1d")
    rows = shown_rows(page)
    assert 0 < len(rows) < len(wanted)
    assert all("shuffled" in (text := " ".join(row).lower()) and "mnist1d" in text for row in rows)
    page.get_by_role("button", name="Show all").press("Enter")
    wait_until(lambda: len(shown_rows(page)) == everything)
    page.goto(f"{site}/article.html")
    assert len(shown_rows(page)) == 15
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details[open]").count() == 1
    assert complaints(page) == []


def test_without_javascript_the_tables_are_plain_tables(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/claims.html")
    assert page.locator(".filters").count() == 0
    rows = page.locator(".filterable tbody tr")
    assert rows.count() > 200 and rows.last.is_visible()
    context.close()


def alternatives(path: Path) -> dict[str, str]:
    """What a notebook says of its pictures, by the pictures' content."""
    outputs = [o for c in nbformat.read(path, as_version=4).cells for o in c.get("outputs", ())]
    return {
        hashlib.sha256(b64decode(o.data["image/png"])).hexdigest(): o.metadata.get(
            "image/png", {}
        ).get("alt", "")
        for o in outputs
        if "image/png" in o.get("data", ())
    }


def pictures(page: str) -> dict[str, str]:
    """The alternatives of a page's pictures, by the name of their file."""
    tags = re.findall(r"<img\b[^>]*>", page)
    found = {re.search(r'src="[^"]*?(\w+)\.png', tag): tag for tag in tags}
    alts = {name[1]: re.search(r'alt="([^"]*)"', tag)[1] for name, tag in found.items() if name}
    return {name: html.unescape(text) for name, text in alts.items()}


def test_pictures_have_the_alternatives_of_their_notebooks(folder):
    for path in NOTEBOOKS:
        found = pictures((folder / f"{path.stem}.html").read_text())
        for name, text in alternatives(path).items():
            assert found[name] == text, path.name


def test_no_picture_lacks_an_alternative():
    missing = {path.name: [*alternatives(path).values()].count("") for path in NOTEBOOKS}
    assert sum(missing.values()) == 0, missing


def documented(folder: Path) -> set[str]:
    """The Python names that the site's reference documents, by Sphinx's inventory."""
    packed = (folder / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = zlib.decompress(packed).decode().splitlines()
    return {line.split(" ")[0] for line in lines if " py:" in line}


def test_the_reference_documents_every_public_name_with_a_docstring(folder):
    names = documented(folder)
    for name in site_pages.modules():
        for part in site_pages.parts(name):
            module = importlib.import_module(f"lthlab.{part}")
            public = {
                f"{module.__name__}.{key}"
                for key, value in vars(module).items()
                if not key.startswith("_")
                and (inspect.isfunction(value) or inspect.isclass(value))
                and value.__module__ == module.__name__
                and value.__doc__
            }
            assert public <= names, public - names
    text = (folder / "api" / "tickets.html").read_text()
    assert "the same call goes on where an interrupted one stopped" in text


def test_the_reference_follows_the_table_of_the_readme(folder):
    table = (ROOT / "README.md").read_text().split("Where to look, in dependency order")[1]
    rows = re.findall(r"^\| (`.*?) \| ", table.split("**A score**")[0], re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    modules = site_pages.modules()
    assert modules[: len(named)] == named and len(set(modules)) == len(modules)
    links = re.findall(
        r'href="(\w+)\.html"><span class="[^"]*"><code',
        (folder / "api" / "index.html").read_text(),
    )
    assert links == modules
    for name in lthlab.__all__:
        assert f">{name}<" in (folder / "api" / "index.html").read_text()


def test_buttons_open_a_notebook_elsewhere_where_the_repository_is_known(folder, tmp_path):
    for path in NOTEBOOKS:
        found = re.search(r'<p class="launch">.*?</p>', (folder / f"{path.stem}.html").read_text())
        links = re.findall(r'href="([^"]*)"', found[0])
        hosts = ["mybinder.org", "colab.research.google.com", "codespaces.new"]
        assert [link.split("/")[2] for link in links] == hosts
        assert all(REPO in link for link in links)
        assert all(link.endswith(f"notebooks/{path.name}") for link in links[:2])
    build_site.gather(tmp_path / "source", "")
    for page in (tmp_path / "source").glob("*.*"):
        text = page.read_text()
        assert 'class="launch"' not in text and REPO not in text
    command = [sys.executable, ROOT / "docs" / "build_site.py", tmp_path, "--repo", "nonsense"]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "expected a repository on GitHub as OWNER/NAME, got 'nonsense'" in refused.stderr


def test_the_site_is_small(folder):
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert size < 15e6
