"""Write the ticket playground into a folder: python docs/build_playground.py FOLDER

`playground.js` and `playground.css` for the website, and the page `playground.html`, which opens
from a server and as a file on a disk. The code in docs/playground/ is written in modules; because
browsers refuse to load modules from a disk, their text is joined here into one classic script, and
the worker's part of it is handed on as text. There are no data: the page draws the signals of
mnist1d itself, from the templates and settings of the package.
"""

import argparse
import json
import re
import shutil
from pathlib import Path

from mnist1d.data import get_dataset_args, get_templates

SOURCE = Path(__file__).parent / "playground"
# Modules after those that they import. The first part is what the worker runs, too.
COMPUTING = ("random.js", "signals.js", "kernels.js", "network.js", "search.js", "worker.js")
SHOWING = ("drawing.js", "playground.js")  # the page; what stands between is api.js
SETTINGS = (
    *("seed", "padding", "template_len", "scale_coeff", "max_translation"),
    *("corr_noise_scale", "iid_noise_scale", "shear_scale"),
)


def computing() -> str:
    """What the worker runs, with what it takes from the package mnist1d."""
    settings = get_dataset_args(as_dict=True)
    taken = {name: settings[name] for name in SETTINGS}
    taken["templates"] = get_templates()["x"].tolist()
    return f"const MNIST1D = {json.dumps(taken)};\n{join(*COMPUTING)}"


def join(*names: str) -> str:
    """The text of modules without import and export, which join them, comments and indents."""
    text = "\n".join((SOURCE / name).read_text(encoding="utf-8") for name in names)
    text = re.sub(r"^import\s[^;]*;\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^ *(//.*|/\*\*(.|\n)*?\*/)\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"(?<=[;,{}]) +// .*$", "", text, flags=re.MULTILINE)
    return re.sub(r"^(export| +) *", "", text, flags=re.MULTILINE)


def script() -> str:
    """The script `playground.js`: computing in a function, so that a worker can be made of it."""
    names = ", ".join(exported(COMPUTING))
    return f"""// Built from docs/playground/, which has the comments.
(() => {{
"use strict";
function computing() {{
{computing()}
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    write(folder)
    print(f"open {folder / 'playground.html'}")
