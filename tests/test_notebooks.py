"""The notebooks people read are those of the sources, whole, in order, run without a network."""

import base64
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "notebooks"))

from build import SOURCES, execute, find_faults, read_source, slim, spend, tidy  # noqa: E402

each_notebook = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)


@pytest.fixture
def offline(monkeypatch):
    """Processes started from here on (kernels and their workers) have no network."""
    paths = [str(ROOT / "tests" / "offline"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def texts(notebook) -> str:
    """All printed text of a notebook's outputs."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return "\n".join(
        o.text
        for cell in cells
        for o in cell.outputs
        if o.output_type == "stream" and o.name == "stdout"
    )


def test_there_are_notebooks():
    assert [source.stem[:2] for source in SOURCES][:6] == ["00", "01", "02", "03", "04", "05"]


@each_notebook
def test_published_notebook_is_fresh_and_whole(source):
    assert find_faults(source, source.parent.parent / f"{source.stem}.ipynb") == []


@each_notebook
def test_published_notebook_shows_no_dead_output(source):
    built = source.parent.parent / f"{source.stem}.ipynb"
    text = built.read_text()
    assert "application/vnd.jupyter.widget-view+json" not in text
    assert built.stat().st_size < 1_500_000
    assert not re.search(r'"name": "stderr"', text), "a warning is shown to readers"


@each_notebook
def test_notebook_says_what_it_takes_and_gives(source):
    notebook = read_source(source)
    top = notebook.cells[0].source
    for part in ("**After this notebook you can**", "**You need**", "**Time**"):
        assert part in top
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "## Take away" in prose and "Your turn" in prose
    assert 30 <= len(notebook.cells) <= 90


def break_source(cells):
    cells[1].source += "\n# changed after the build"


def break_order(cells):
    [cell for cell in cells if cell.cell_type == "code"][-1].execution_count = 1


def break_run(cells):
    code = next(cell for cell in cells if cell.cell_type == "code")
    code.outputs = [nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[])]


@pytest.mark.parametrize(
    "harm, complaint",
    [(break_source, "stale"), (break_order, "top to bottom"), (break_run, "error")],
)
def test_faulty_notebook_is_found(tmp_path, harm, complaint):
    source = SOURCES[0]
    notebook = nbformat.read(source.parent.parent / f"{source.stem}.ipynb", as_version=4)
    nbformat.write(notebook, tmp_path / "copy.ipynb")
    assert find_faults(source, tmp_path / "copy.ipynb") == []
    harm(notebook.cells)
    nbformat.write(notebook, tmp_path / "copy.ipynb")
    assert complaint in " ".join(find_faults(source, tmp_path / "copy.ipynb"))


def test_a_large_picture_gets_smaller_and_looks_the_same():
    """A smooth ramp of 1,000 colours with noise: 256 are left, none far from what it was."""
    draw = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 400)[:, None, None] * np.ones((1, 400, 3))
    ramp[..., 0] += draw.normal(0, 3, (400, 400))
    before, packed = ramp.clip(0, 255).astype(np.uint8), io.BytesIO()
    Image.fromarray(before).save(packed, "PNG")
    large = base64.b64encode(packed.getvalue()).decode()
    assert len(large) > 100_000
    small = slim(large)
    after = np.asarray(Image.open(io.BytesIO(base64.b64decode(small))).convert("RGB"))
    assert len(small) < len(large) / 2 and after.shape == before.shape
    assert np.abs(after.astype(int) - before).mean() < 4
    assert slim(large[:1000]) == large[:1000]  # a small one is left alone


def test_offline_really_is(offline):
    code = "import urllib.request; urllib.request.urlopen('http://example.com', timeout=5)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode != 0 and "the network is off in this test" in run.stderr


@each_notebook
def test_notebook_runs_whole_without_network(source, offline, tmp_path, record_property):
    notebook = read_source(source)
    seconds = execute(notebook)
    tidy(notebook)
    spend(notebook)
    nbformat.write(notebook, tmp_path / "run.ipynb")
    assert find_faults(source, tmp_path / "run.ipynb") == []
    record_property("measured", f"{source.stem}: {seconds:.0f} s")
    if source.stem.startswith("03"):
        check_tickets(texts(notebook))
    if source.stem.startswith("09"):
        check_scale(texts(notebook))


def check_scale(printed: str) -> None:
    """What notebook 09 is there to show: one table on a cluster and after a kill, open files."""
    killed = re.search(
        r"was killed when (\d+) of 28 trainings were finished\nof those, (\d+) are still", printed
    )
    assert killed[1] == killed[2] and 8 <= int(killed[1]) < 28
    for words in (
        "the same table, bit for bit: True",
        "the table is the same: True",
        "the same first layer: True",
        "same masks: True",
    ):
        assert words in printed


def check_tickets(printed: str) -> None:
    """What notebook 03 is there to show: matching at 3.6 % density, and a lead after one epoch."""
    assert re.search(r"at 3\.\d% density, minus dense, in points of accuracy; five seeds", printed)
    assert "ticket is matching (within one point): True" in printed
    lead = re.search(
        r"after one epoch, ticket minus reinitialised ([+-][\d.]+), \[([+-][\d.]+), ", printed
    )
    assert float(lead[1]) >= 8 and float(lead[2]) > 0


def test_readme_example_runs(offline):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    # One thread: beside another test, two fight for the same cores and take many times as long.
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    levels = re.findall(
        r"^([\d.]+)% of the weights: validation accuracy ([\d.]+)%$", run.stdout, re.MULTILINE
    )
    assert len(levels) == 16 and float(levels[-1][0]) <= 3.6
    assert float(re.search(r"the control: ([\d.]+)%", run.stdout)[1]) > 75


# What every notebook keeps to, read from its source and its published outputs.
CORE_MINUTES, DEEP_DIVES = 40, ("11", "12", "13")
NO_BETS = ("08",)
BET = re.compile(r'\bbets\.(?:pick|order|number|curve)\(\s*"([^"]+)"')
REVEAL = re.compile(r'\bbets\.reveal\(\s*"([^"]+)"')


def published(source) -> nbformat.NotebookNode:
    return nbformat.read(source.parent.parent / f"{source.stem}.ipynb", as_version=4)


def code_of(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@each_notebook
def test_cells_are_short_and_narrow(source):
    long = [c for c in code_of(read_source(source)) if len(c.splitlines()) > 25]
    wide = [line for c in code_of(read_source(source)) for line in c.splitlines() if len(line) > 88]
    assert long == [] and wide == []


@each_notebook
def test_every_picture_has_a_text_alternative(source):
    silent = [
        cell.source[-200:]
        for cell in published(source).cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
        and len(output.metadata.get("image/png", {}).get("alt", "")) < 20
    ]
    assert silent == []


@each_notebook
def test_every_bet_is_revealed_after_it(source):
    asked, seen = [], []
    for code in code_of(read_source(source)):
        asked += BET.findall(code)
        for name in REVEAL.findall(code):
            assert name in asked, f"{name} is revealed before it is asked"
            seen.append(name)
    assert sorted(asked) == sorted(seen)
    assert all(name.startswith(f"{source.stem[:2]}-") for name in asked)
    if source.stem[:2] not in NO_BETS:
        assert asked


@each_notebook
def test_the_core_fits_an_evening(source):
    if not source.stem.startswith(DEEP_DIVES):
        assert published(source).metadata["minutes"] <= CORE_MINUTES


def headings(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in found}


@each_notebook
def test_links_inside_the_course_lead_somewhere(source):
    prose = "\n".join(c.source for c in read_source(source).cells if c.cell_type == "markdown")
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", prose):
        path, _, anchor = target.partition("#")
        page = source.parent.parent / path if path else None
        if page is not None:
            assert page.exists(), f"{target} leads nowhere"
        if anchor and (page is None or page.suffix == ".md"):
            assert anchor in headings(prose if page is None else page.read_text()), target


@each_notebook
def test_terms_are_linked_where_they_first_stand(source):
    """Of the terms that a notebook links to the glossary, none stands in its text before its link.

    The title, the objectives at the top and tables of what comes are left out.
    """
    cells = read_source(source).cells[1:]
    prose = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    for link in re.finditer(r"\[([^\]]+)\]\(glossary\.md#([\w-]+)\)", prose):
        before = re.sub(r"\[[^\]]*\]\([^)]*\)|`[^`]*`|^#.*$", "", prose[: link.start()], flags=re.M)
        used = re.search(rf"\b{re.escape(link[1])}\b", before, re.IGNORECASE)
        assert not used, f"{link[1]!r} is used before its link: …{before[-80:]}"


def test_each_term_of_the_glossary_is_linked_where_the_course_first_uses_it():
    terms = re.findall(r"^## (.+)$", (ROOT / "notebooks/glossary.md").read_text(), re.MULTILINE)
    assert terms == sorted(terms, key=lambda term: (term[0].isdigit(), term.lower()))
    for term in terms:
        anchor = re.sub(r"[^\w\- ]", "", term.lower()).replace(" ", "-")
        for source in SOURCES:
            cells = read_source(source).cells[1:]
            prose = "\n".join(c.source for c in cells if c.cell_type == "markdown")
            if f"glossary.md#{anchor})" in prose:
                break
            assert not re.search(rf"\b{re.escape(term)}\b", prose, re.IGNORECASE), (
                f"{source.stem} uses {term!r} and does not link it"
            )
        else:
            raise AssertionError(f"no notebook uses {term!r}")
