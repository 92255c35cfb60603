"""Lines that a reader writes: the notebook's solution is accepted, a wrong one is not."""

import copy
import math
import re
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import jupytext
import pytest
import torch
from torch.optim.swa_utils import update_bn

import lthlab

SOURCES = Path(__file__).parent.parent / "notebooks" / "source"
TORCH = "import torch\nfrom torch.nn import functional as F\nimport numpy as np\n"
TORCH += "from lthlab import build_model, load_dataset\nimport lthlab\nNAME = 'mlp-20-20'\n"


def cells(name: str) -> list:
    return jupytext.read(next(SOURCES.glob(f"{name}_*.py"))).cells


def solutions(name: str) -> list[str]:
    """What the answers hidden in the text say, by line."""
    prose = "\n".join(c.source for c in cells(name) if c.cell_type == "markdown")
    found = re.search(r"<summary>The (?:line|lists)</summary>(.*?)</details>", prose, re.DOTALL)[1]
    return re.findall(r"`([^`]*=[^`]*|return [^`]*)`", found)


def run(name: str, change, capsys) -> str:
    """What the cells from the reader's line to its check print, with the line changed."""
    codes = [c.source for c in cells(name) if c.cell_type == "code"]
    at = next(number for number, code in enumerate(codes) if "# your line" in code)
    last = next(n for n, code in enumerate(codes) if n >= at and "Not written yet" in code)
    asked = re.sub(r"^bets\..*", "", change("\n".join(codes[at : last + 1])), flags=re.M | re.S)
    exec(compile(TORCH + asked, name, "exec"), {})
    return capsys.readouterr().out


def fill(answers: list[str]):
    """The code with the reader's lines in place of the dots."""

    def change(code: str) -> str:
        for answer in answers:
            left = answer.split(" = ")[0] + " =" if " = " in answer else "return"
            code = re.sub(rf"{left} \.\.\.", answer.replace("\\", r"\\"), code, count=1)
        return code

    return change


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("name", ["06", "07", "09"])
def test_the_printed_solution_is_accepted(name, capsys):
    assert solutions(name)
    assert "Right" in run(name, fill(solutions(name)), capsys)


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("name", ["06", "07", "09"])
def test_a_line_that_is_not_written_is_said_to_be_missing(name, capsys):
    assert "Not written yet" in run(name, lambda code: code, capsys)


WRONG = {
    "06": ["return weight * gradient", "return gradient.abs()"],
    "07": ["columns = [2, 1, 3]\nrow_starts = [0, 1, 1, 3]", "columns = [1, 0, 2]"],
    "09": ["return int(np.ceil(np.log(density) / np.log(1 - rate)))", "return 12"],
}


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("name, line", [(n, line) for n, lines in WRONG.items() for line in lines])
def test_a_wrong_line_is_not_accepted(name, line, capsys):
    lines = line.split("\n")
    if line == "columns = [1, 0, 2]":
        lines.append("row_starts = [0, 1, 3]")
    printed = run(name, fill(lines), capsys)
    assert "Not yet" in printed and "Right" not in printed


def context(name: str) -> dict:
    """What the cells before the reader's line have made, as small as can be."""
    if name in ("00", "01"):
        return {"math": math}
    if name == "02":
        return vars(lthlab) | {"torch": torch, "lthlab": lthlab}
    known = {"torch": torch, "lthlab": lthlab, "copy": copy, "bets": Mock(), "update_bn": update_bn}
    data = lthlab.load_dataset("words" if name == "10" else "mnist1d")
    network = {"05": "resnet1d-4", "10": "gpt-1x8"}.get(name, "mlp-20-20")
    model = lthlab.build_model(network, data, seed=0)
    masks = lthlab.prune(lthlab.magnitude(model), lthlab.full_masks(model), 0.5)
    known |= {"dataset": data, "model": model, "library": SimpleNamespace(masks=masks)}
    known |= {"initial": model.state_dict(), "kept": masks}
    other = lthlab.build_model(network, data, seed=1).state_dict()
    known["early"] = [[known["initial"]], [other]]
    known |= {"wanda": lthlab.post_training.wanda, "evaluate": lthlab.evaluate}
    return known | {"batch": lthlab.draw_batch(data.train, 64)}


READERS = [  # of the cell with the reader's line: the line, and what the cell then says
    ("00", "levels_needed = 10", "Right"),
    ("00", "levels_needed = 7", "Not yet"),
    ("00", "levels_needed = 11", "More than it takes"),
    ("01", "flops = (6 * sum(weights) - 2 * weights[0]) * 8_000", "Right"),
    ("01", "flops = 8e3 * sum(6 * w for w in weights) - 2 * 784e3 * 8e3", "Right"),
    ("01", "flops = 2 * sum(weights) * 8_000", "Not yet"),
    ("01", "flops = 6 * sum(weights) * 8_000", "Nearly"),
    ("02", "mine = prune(scores, everything, fraction=0.4)", "Right"),
    ("02", "mine = prune(scores, everything, 10 / 25)", "Right"),
    ("02", "mine = prune(scores, everything, fraction=0.6)", "Not yet"),
    ("03", "return ticket.masks", "Right"),
    ("03", "return {name: mask.clone() for name, mask in ticket.masks.items()}", "Right"),
    ("03", "return lthlab.shuffle_masks(ticket.masks, 0)", "Not yet"),
    ("03", "return ...", "Not written yet"),
    ("04", "return values.sign() * values[order].abs()", "Right"),
    ("04", "return torch.where(values > 0, values[order].abs(), -values[order].abs())", "Right"),
    ("04", "return values[order]", "the signs have moved"),
    ("04", "return values.sign()", "Not yet"),
    ("04", "return ...", "Not written yet"),
    ("05", "return {name: (one[name] + other[name]) / 2 for name in one}", "Right"),
    ("05", "return {n: 0.5 * v + 0.5 * other[n] for n, v in one.items()}", "Right"),
    ("05", "return {name: value + other[name] for name, value in one.items()}", "Not yet"),
    ("05", "return one", "Not yet"),
    ("05", "return ...", "Not written yet"),
    ("10", 'masks = lthlab.prune(scores, everything, 0.5, scope="row")', "Right"),
    ("10", 'masks = lthlab.prune(scores, everything, 0.5, scope="layer")', "some rows keep more"),
    ("10", 'masks = lthlab.prune(scores, everything, 0.6, scope="row")', "Not yet"),
    ("10", "masks = ...", "Not written yet"),
]


@pytest.mark.parametrize("name, line, said", READERS)
def test_the_cell_says_of_a_readers_line_what_it_is(name, line, said, capsys):
    code = next(c.source for c in cells(name) if c.cell_type == "code" and "your line" in c.source)
    left = line.split(" = ")[0] + " = " if " = " in line and "return" not in line else "return "
    changed, times = re.subn(
        rf"^( *){re.escape(left)}.*# .*your line.*$", lambda m: m[1] + line, code, flags=re.M
    )
    assert times == 1
    torch.manual_seed(0)
    exec(compile(changed, name, "exec"), context(name))
    printed = capsys.readouterr().out
    assert said in printed
    assert said == "Right" or "Right" not in printed
