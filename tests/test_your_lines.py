"""Lines that a reader writes: the notebook's solution is accepted, a wrong one is not."""

import re
from pathlib import Path

import jupytext
import pytest

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
