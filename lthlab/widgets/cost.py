"""Cost calculator: from a network and its examples to FLOPs, dollars, energy and CO2e."""

import ipywidgets
import pandas as pd

from lthlab.cost import Assumptions
from lthlab.widgets.panel import WIDE, Panel, choice, percent, slider

# Peak FLOP/s, watts and dollars an hour; share of the peak that trainings reach; what the watts are
# those of. NVIDIA's are the most that a board (SXM) draws by its data sheet, so that chips can be
# compared; one V100 is there a second time, as it was measured. Sources: see `cost_calculator`.
BOARD = "board, at most"
HARDWARE = {
    "laptop, two cores": (1e11, 30.0, 0.0, 0.5, "processor"),
    "NVIDIA V100": (125e12, 300.0, 1.5, 0.2, BOARD),
    "NVIDIA V100 (Patterson et al. 2021)": (125e12, 330.0, 1.5, 0.2, "measured, with its server"),
    "NVIDIA A100": (312e12, 400.0, 2.0, 0.4, BOARD),
    "NVIDIA H100": (989e12, 700.0, 3.0, 0.4, BOARD),
}
GRIDS = {"world": 480, "Norway": 30, "France": 56, "Germany": 380, "USA": 370, "India": 710}


def cost_calculator() -> Panel:
    """What a training costs, by network, examples, chip and grid: FLOPs, dollars, energy, CO2e.

    FLOPs: 6 per parameter and token (Kaplan et al. 2020, section 2.1). V100, A100 and H100:
    NVIDIA's data sheets (dense, 16 bits, board power). V100: 24.6 of 125 TFLOP/s reached and, with
    its share of memory, network, fans and host, 330 W measured (Patterson et al. 2021, table 4),
    1.50 dollars (Li 2020). Other prices and shares are round assumptions, as is the laptop.
    Overhead 1.1. Grids: g CO2e/kWh, rounded from Ember 2024.
    """

    def draw(parameters, tokens, kept, chip, grid):
        peak, watts, dollars, share, kind = HARDWARE[chip]
        flops = 6 * parameters * kept * tokens
        seconds = flops / (peak * share)
        use = Assumptions(watts=watts, overhead=1.1, grams_per_kwh=GRIDS[grid])
        rows = {
            "FLOPs": f"{flops:.3g}",
            "hours on one chip": f"{seconds / 3600:,.3g}",
            "dollars of rent": f"{seconds / 3600 * dollars:,.3g}",
            "kWh": f"{use.kwh(seconds):,.3g}",
            "kg of CO2e": f"{use.co2e_grams(seconds) / 1000:,.3g}",
        }
        network = (
            f"{parameters:.3g} parameters, {kept:.0%} of them kept, {tokens:.3g} tokens or images"
        )
        bill = ", ".join(f"{value} {name}" for name, value in rows.items())
        table = pd.Series(rows).to_frame().to_html(header=False, border=0)
        power = f"{watts:g} W ({kind})"
        return f"{network}, on {chip}, {power}, electricity of {grid}: {bill}.", table

    def log_slider(low, high, value, label):
        return ipywidgets.FloatLogSlider(
            value, min=low, max=high, step=0.1, description=label, readout_format=".2g", **WIDE
        )

    controls = {
        "parameters": log_slider(4, 13, 266_200, "parameters"),
        "tokens": log_slider(3, 14, 90_000, "tokens or images"),
        "kept": slider([1, 0.5, 0.2, 0.1, 0.05, 0.02], "kept, if it paid", percent),
        "chip": choice([*HARDWARE], "hardware"),
        "grid": choice([*GRIDS], "electricity of"),
    }
    return Panel("Cost calculator", controls, draw)
