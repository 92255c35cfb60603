"""Cost calculator: from a network and its examples to FLOPs, dollars, energy and CO2e."""

from lthlab.widgets.panel import Panel, menu, percent, slider

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
KEPT = (1, 0.5, 0.2, 0.1, 0.05, 0.02)
# Stops that a reader looks for, beside the round ones.
PARAMETERS = {266_200: "LeNet-300-100", 1.75e11: "GPT-3"}
TOKENS = {3e11: "GPT-3"}


def cost_calculator() -> Panel:
    """What a training costs, by network, examples, chip and grid: FLOPs, dollars, energy, CO2e.

    FLOPs: 6 per parameter and token (Kaplan et al. 2020, section 2.1). V100, A100 and H100:
    NVIDIA's data sheets (dense, 16 bits, board power). V100: 24.6 of 125 TFLOP/s reached and, with
    its share of memory, network, fans and host, 330 W measured (Patterson et al. 2021, table 4),
    1.50 dollars (Li 2020). Other prices and shares are round assumptions, as is the laptop.
    Overhead 1.1. Grids: g CO2e/kWh, rounded from Ember 2024.
    """
    parameters, parameter = _scale("parameters", range(4, 13), PARAMETERS, 266_200)
    tokens, token = _scale("tokens or images", range(3, 15), TOKENS, 100_000)
    data = {
        "chips": HARDWARE,
        "grids": GRIDS,
        "overhead": 1.1,
        "kept": KEPT,
        "parameters": parameters,
        "tokens": tokens,
    }
    controls = [
        parameter,
        token,
        slider("kept", "kept, if it paid", map(percent, KEPT)),
        menu("chip", "hardware", HARDWARE),
        menu("grid", "electricity of", GRIDS),
    ]
    sentence = (
        "Here a calculator says what a training costs, from the number of parameters and examples, "
        "the chip and the electricity: FLOPs, hours, dollars, kWh and CO2e. It needs JavaScript."
    )
    return Panel("cost", "Cost calculator", controls, data, sentence, "")


def _scale(label: str, tens: range, named: dict[float, str], start: float) -> tuple[list, dict]:
    """Stops at 1, 2 and 5 of each power of ten and at those with a name, and the slider of them."""
    stops = sorted({digit * 10**ten for ten in tens for digit in (1, 2, 5)} | {*map(int, named)})
    shown = [f"{_say(stop)} ({named[stop]})" if stop in named else _say(stop) for stop in stops]
    return stops, slider(label.split()[0], label, shown, stops.index(start))


def _say(count: int) -> str:
    for word, unit in (("trillion", 10**12), ("billion", 10**9), ("million", 10**6)):
        if count >= unit:
            return f"{count / unit:g} {word}"
    return f"{count:,}"
