"""Bets: a guess asked for before a cell runs, and the answer beside it afterwards.

Guesses are kept in `guesses.json` beside the notebook. Nobody has to fill in a form: where there is
no guess, `reveal` shows the answer alone.
"""

import html
import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from operator import eq
from pathlib import Path

import ipywidgets
import matplotlib.pyplot as plt
from IPython.display import HTML, display
from scipy.stats import binomtest

from lthlab import plots

FILE = Path("guesses.json")
SURE_OF_RANGES = 0.8
_asked: dict[str, "Bet"] = {}


class Bet(ipywidgets.VBox):
    """A form; a page without a kernel shows its question, as text.

    `read` makes a guess of the controls' values, None while there is none; `holds(guess, answer)`
    says whether a guess was right; `draw(guess, answer)` draws both, and nothing is right.
    """

    options: Sequence[str] = ()  # what an answer can be, where it is chosen

    def __init__(self, name: str, text: str, controls: list, read: Callable, holds=eq, draw=None):
        self.name, self.controls, self.read = name, controls, read
        self.holds, self.draw, self.noted = holds, draw, ipywidgets.HTML()
        self.text = _framed(f"<b>Your bet.</b> {html.escape(text)}")
        for control in controls:
            control.observe(self.keep, "value")
        box = ipywidgets.HBox if draw else ipywidgets.VBox  # a curve's sliders stand side by side
        super().__init__([ipywidgets.HTML(self.text), box(controls), self.noted])
        _asked[name] = self

    def keep(self, _change=None) -> None:
        """Write the guess down, if there is one."""
        if (guess := self.read(*(control.value for control in self.controls))) is not None:
            _write(guesses() | {self.name: guess})
            self.noted.value = "Noted. The answer comes further down."

    def _repr_mimebundle_(self, **options):
        return super()._repr_mimebundle_(**options) | {"text/html": self.text}


def pick(name: str, question: str, options: Sequence[str]) -> Bet:
    """Ask which of the options it will be, and how sure the reader is."""
    choice = ipywidgets.RadioButtons(options=options, value=None, layout={"width": "max-content"})
    return _choice(name, question, options, [choice], lambda guess: guess)


def order(name: str, question: str, options: Sequence[str]) -> Bet:
    """Ask for the order of the options, and how sure the reader is."""
    places = [
        ipywidgets.Dropdown(options=options, value=None, description=f"{place}.")
        for place in range(1, len(options) + 1)
    ]

    def read(*guess):
        return [*guess] if {*guess} == {*options} else None

    return _choice(name, question, options, places, read)


def _choice(name, question, options, controls, read) -> Bet:
    shares = [(f"{share} %", share / 100) for share in range(0, 101, 10)]
    sure = ipywidgets.SelectionSlider(options=shares, value=0.5, description="I am sure:")

    def kept(*values):
        guess = read(*values[:-1])
        return None if guess is None else {"guess": guess, "sure": values[-1]}

    offered = "; ".join(f"({'abcdefghij'[n]}) {option}" for n, option in enumerate(options))
    bet = Bet(name, f"{question}: {offered}?", [*controls, sure], kept)
    bet.options = options
    return bet


def number(name: str, question: str, low: float, high: float) -> Bet:
    """Ask for a range that the reader is 80 % sure of."""
    look = {"step": (high - low) / 100, "layout": {"width": "520px"}}
    span = ipywidgets.FloatRangeSlider(value=(low, high), min=low, max=high, **look)

    def read(guess):  # a range that was never moved is no guess
        return None if guess == (low, high) else {"guess": [*guess], "sure": SURE_OF_RANGES}

    def holds(guess, answer):
        return guess[0] <= answer <= guess[1]

    hint = f"Set a range, within {low:g} to {high:g}, that you are {SURE_OF_RANGES:.0%} sure of."
    return Bet(name, f"{question}? {hint}", [span], read, holds)


def curve(
    name: str,
    question: str,
    x: Sequence[float],
    low: float,
    high: float,
    xlabel: str = "",
    ylabel: str = "",
) -> Bet:
    """Ask for a curve, by its height at every x."""
    start = (low + high) / 2
    heights = [
        ipywidgets.FloatSlider(
            start,
            min=low,
            max=high,
            step=(high - low) / 50,
            description=f"{place:g}",
            orientation="vertical",
            readout_format=".3g",
        )
        for place in x
    ]

    def read(*guess):
        return None if {*guess} == {start} else {"guess": [*guess]}

    def draw(guess, answer):
        ax, places = plt.subplots(figsize=(6, 3.4))[1], range(len(x))
        ax.plot(places, answer, "o-", color="#0173b2", label="what came out")
        if guess:
            ax.plot(places, guess, "s--", color="#de8f05", label="your bet")
        ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(low, high))
        ax.set_xticks(places, [f"{place:g}" for place in x])
        ax.legend(title=None if guess else "You made no bet.")
        found = ", ".join(f"{y:.3g} at {place:g}" for place, y in zip(x, answer, strict=True))
        beside = ", with your bet beside it." if guess else ". You made no bet."
        plots.show(f"{ylabel} against {xlabel}: {found}{beside}")

    return Bet(name, f"{question}. Set each height.", heights, read, draw=draw)


def reveal(name: str, answer: str | float | Sequence) -> None:
    """Show the answer beside the guess, and keep which of them was right.

    Raises ValueError for a name that nobody was asked, or an answer that its form does not offer.
    """
    if name not in _asked:
        raise ValueError(
            f"Nobody was asked {name!r} yet: run the cell with that bet first. "
            f"Asked so far: {', '.join(_asked) or 'nothing'}."
        )
    bet, kept = _asked[name], guesses()
    if isinstance(answer, Iterable) and not isinstance(answer, str):
        answer = [*answer]
    if bet.options and not {*([answer] if isinstance(answer, str) else answer)} <= {*bet.options}:
        raise ValueError(f"The answer to {name!r} must be of {[*bet.options]}; got {answer!r}.")
    guess = kept.get(name, {}).get("guess")
    if bet.draw:
        return bet.draw(guess, answer)
    try:
        right = guess is not None and bool(bet.holds(guess, answer))
    except TypeError:  # noted when this bet had another form
        guess = None
    said = "You made no bet."
    if guess is not None:
        kept[name]["right"] = right
        _write(kept)
        verdict = "You were right." if right else "Not so."
        said = f"Your bet: {_words(guess)}. {verdict}"
    _show(f"The answer: <b>{html.escape(_words(answer))}</b>. {html.escape(said)}")


def calibration() -> None:
    """Show how sure the reader was, and how often right: of all bets with an answer so far."""
    told = [bet for bet in guesses().values() if {"right", "sure"} <= bet.keys()]
    if not told:
        return _show("You have made no bets with an answer yet.")
    right, sure = sum(bet["right"] for bet in told), sum(bet["sure"] for bet in told) / len(told)
    chance = binomtest(right, len(told)).proportion_ci(method="wilson")
    if chance.low > sure:
        verdict = "You know more than you think."
    elif chance.high < sure:
        verdict = "You were surer than you were right."
    else:
        verdict = "That agrees, as far as so few bets can tell."
    _show(
        f"{len(told)} bets, {right} right: {right / len(told):.0%} (95 % interval "
        f"{chance.low:.0%} to {chance.high:.0%}). You were {sure:.0%} sure. {verdict}"
    )


def guesses() -> dict[str, dict]:
    """All guesses so far by name, as they stand in `guesses.json`; none if it can't be read."""
    try:
        kept = json.loads(FILE.read_text())
        return {name: bet for name, bet in kept.items() if "guess" in bet}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write(kept: dict[str, dict]) -> None:
    part = FILE.with_suffix(f".{uuid.uuid4()}")  # another notebook may write, too
    part.write_text(json.dumps(kept, indent=1))
    part.replace(FILE)  # whole or not at all


def _words(answer) -> str:
    """An option, some options, a number or a range, as text."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, Sequence):
        return ", ".join(map(_words, answer))
    return f"{answer:.4g}"


def _show(text: str) -> None:
    display(HTML(_framed(text)))


def _framed(text: str) -> str:
    return f'<div style="border-left: 4px solid #de8f05; padding: 0.1em 1em">{text}</div>'
