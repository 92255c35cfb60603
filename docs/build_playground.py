"""Write the ticket playground into a folder: python docs/build_playground.py FOLDER

Three files for the website (`playground.js`, `playground.css`, `signals.js`) and the page
`playground.html`, which opens from a server and as a file on a disk. The code in docs/playground/
is written in modules; because browsers refuse to load modules from a disk, their text is joined
here into one classic script, and the worker's part of it is handed on as text.
"""

import argparse
import json
import re
import shutil
from pathlib import Path

import numpy as np

from lthlab import load_dataset

SOURCE = Path(__file__).parent / "playground"
# Modules after those that they import. The first part is what the worker runs, too.
COMPUTING = ("random.js", "kernels.js", "network.js", "data.js", "search.js", "worker.js")
SHOWING = ("drawing.js", "playground.js")  # the page; what stands between is api.js
# 91 characters that need no escape in a JavaScript string: # to ~ without the backslash.
DIGITS = np.frombuffer(bytes(code for code in range(35, 127) if code != 92), np.uint8)


def signals() -> str:
    """The script `signals.js`: mnist1d, normalised, each value as two digits of base 91."""
    dataset = load_dataset("mnist1d", "cpu")
    splits = {name: getattr(dataset, name) for name in ("train", "validation", "test")}
    values = np.concatenate([split.x.numpy().ravel() for split in splits.values()]).astype(float)
    low, levels = values.min(), len(DIGITS) ** 2 - 1
    step = (values.max() - low) / levels
    packed = {}
    for name, split in splits.items():
        number = np.rint((split.x.numpy().ravel() - low) / step).astype(int)
        digits = DIGITS[np.stack(np.divmod(number, len(DIGITS)), axis=1)]
        packed[name] = {
            "x": digits.tobytes().decode("ascii"),
            "y": "".join(map(str, split.y.tolist())),
        }
    content = {"low": low, "step": step, "splits": packed}
    return f"globalThis.lthlabSignals = {json.dumps(content)};\n"


def join(*names: str) -> str:
    """The text of modules without what joins them, import and export, and without comments."""
    text = "\n".join((SOURCE / name).read_text(encoding="utf-8") for name in names)
    text = re.sub(r"^import\s[^;]*;\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^ *(//.*|/\*\*(.|\n)*?\*/)\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^export ", "", text, flags=re.MULTILINE)


def script() -> str:
    """The script `playground.js`: computing in a function, so that a worker can be made of it."""
    names = ", ".join(exported(COMPUTING))
    return f"""// Built from docs/playground/, which has the comments.
(() => {{
"use strict";
function computing() {{
{join(*COMPUTING)}
return {{ {names} }};
}}
const place = document.getElementById("ticket-playground");
try {{
const {{ {names} }} = computing();
{join("api.js")}
if (place) {{
{join(*SHOWING)}
}}
}} catch (error) {{
  if (place) place.textContent = `The playground did not start: ${{error.message}}.`;
  throw error;
}}
}})();
"""


def exported(names: tuple[str, ...]) -> list[str]:
    """What modules export, by name."""
    text = "\n".join((SOURCE / name).read_text(encoding="utf-8") for name in names)
    return re.findall(r"^export (?:async )?(?:function\*?|const|class) (\w+)", text, re.MULTILINE)


def write(folder: Path) -> None:
    """Write the playground's files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("playground.html", "playground.css"):
        shutil.copy(SOURCE / name, folder)
    (folder / "playground.js").write_text(script(), encoding="utf-8")
    (folder / "signals.js").write_text(signals(), encoding="ascii")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    write(folder)
    print(f"open {folder / 'playground.html'}")
