"""What the site's tests ask of each page, in JavaScript, and axe-core, which asks the rest."""

import shutil
import subprocess
import tarfile
from pathlib import Path

import platformdirs
import pytest

AXE = "4.14.1"


def fetch_axe() -> Path:
    """axe-core's one file, kept in the user's cache."""
    place = platformdirs.user_cache_path("lthlab-tests") / f"axe-core-{AXE}"
    if not (place / "package" / "axe.min.js").exists():
        if not shutil.which("npm"):
            pytest.fail("The site's tests take axe-core from npm: install npm, or use BROWSER=0.")
        place.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", f"axe-core@{AXE}", "--silent", "--pack-destination", str(place)]
        got = subprocess.run(command, capture_output=True, text=True)
        assert got.returncode == 0, f"npm could not fetch axe-core {AXE}: {got.stderr[-500:]}"
        with tarfile.open(place / f"axe-core-{AXE}.tgz") as archive:
            archive.extract("package/axe.min.js", place, filter="data")
    return place / "package" / "axe.min.js"


OVERFLOW = """() => {
    const width = document.documentElement.clientWidth;
    const scrolls = (e) => e.parentElement && (
        getComputedStyle(e.parentElement).overflowX !== "visible" || scrolls(e.parentElement));
    const pushed = (e) => e.getBoundingClientRect().right > width + 1 && !scrolls(e);
    const whole = ".content, main, .filterable .table-wrapper";  // these never scroll sideways
    const pushes = (e) => e.matches(whole) && e.scrollWidth > e.clientWidth + 1;
    return [...document.querySelectorAll("article *, .content, main, main > *")].filter(
        (e) => pushed(e) || pushes(e)
    ).map((e) => e.outerHTML.slice(0, 80));
}"""
LONG_CODE = """() => [...document.querySelectorAll(".cell_input pre")].filter((pre) =>
    pre.scrollWidth > pre.clientWidth && pre.textContent.split("\\n").every((l) => l.length <= 88)
).map((pre) => pre.textContent.slice(0, 80))"""
# Colours of code mean nothing to most rules, what each page repeats is looked at on the start page,
# and all rows of a long table are alike.
SHORTEN = """() => {
    for (const pre of document.querySelectorAll(".highlight pre")) {
        pre.coloured = [...pre.childNodes];
        pre.replaceChildren(pre.textContent);
    }
    for (const table of document.querySelectorAll("article table"))
        [...table.rows].slice(40).forEach((row) => row.remove());
    if (document.title !== document.querySelector(".sidebar-brand-text")?.textContent)
        document.querySelector(".sidebar-drawer")?.remove();
}"""
# For contrast, words that look alike and stand in boxes that look alike need one measurement.
THIN = """() => {
    for (const pre of document.querySelectorAll(".highlight pre"))
        pre.replaceChildren(...pre.coloured);
    const seen = new Set(), kinds = new Map();
    const kind = (e) => {
        if (e === document.body) return "";
        if (!kinds.has(e)) {
            const { color, backgroundColor } = getComputedStyle(e);
            const own = [e.tagName, e.className, color, backgroundColor];
            kinds.set(e, [...own, kind(e.parentElement)].join());
        }
        return kinds.get(e);
    };
    for (const e of document.querySelectorAll("body *:not(:has(*))"))
        if (seen.has(kind(e))) e.dataset.double = ""; else seen.add(kind(e));
    document.querySelectorAll("[data-double]").forEach((e) => e.remove());
}"""
FOUND = """(rules) => axe.run(document, {resultTypes: ["violations"], ...rules}).then((found) =>
    found.violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) =>
        [v.id, v.nodes.slice(0, 3).map((n) => n.target.join(" ") + " " + n.failureSummary)]))"""
