"""Checks of what a public function is given: at its entrance, by one mechanism.

`@checked` above a function or a class compares each argument with its type hint, with the range
that its name has everywhere (RANGES), and with what else `Annotated` says: known names, or a text
and a test; then RULES look at the arguments together. What does not fit is refused in one sentence:
the argument, what was expected, what came, and the nearest thing that would do. The bodies of
functions trust what they get.
"""

import contextlib
import difflib
import functools
import inspect
import numbers
import os
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import torch
from torch import Tensor, nn

_ABOVE_0, _LARGE = 5e-324, 1e300  # what lies between is neither NaN nor infinity
_MOST = 100_000  # items that an iterator may yield
# From, to, and what is in between: a name means the same everywhere.
RANGES = (
    (_ABOVE_0, 1, "density wanted stop"),
    (0, 1, "fraction fractions densities share begin end threshold below momentum"),
    (_ABOVE_0, _LARGE, "lr rate temperature"),
    (0, _LARGE, "weight_decay warmup milestones watts grams_per_kwh seconds epoch"),
    (0, 2**63, "seed seeds"),
    (0, 1_000, "levels"),
    (1, 10_000, "steps window control_levels"),
    (1, 10**9, "count samples times batch_size held_out steps_per_epoch overhead"),
    (2, 10_000, "points"),
)
_RANGE_OF = {name: ends for *ends, names in RANGES for name in names.split()}
_NUMBERS = {int: numbers.Integral, float: numbers.Real}
_NOUNS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "bool": "True or False",
    "NoneType": "None",
    "Callable": "a function",
    "Tensor": "a tensor",
    "Module": "a network, as build_model makes it",
    "Dataset": "a Dataset, as load_dataset makes it",
    "Split": "a Split, such as dataset.train",
    "Recipe": "a Recipe, as recipe_for makes it",
    "Axes": "axes of a picture",
}
# Each looks at the arguments of a call together, by name: those that it knows, where it finds them.
RULES: list[Callable[[dict[str, Any]], object]] = []
Checked = TypeVar("Checked", bound=Callable)


class InputError(ValueError, TypeError):
    """An argument of a wrong type or value; the message says which, and what would do."""


def _is_there(device: str | torch.device) -> bool:
    try:
        return torch.empty(1, device=device) is not None
    except (RuntimeError, AssertionError, NotImplementedError):
        return False


Device = Annotated[str | torch.device, 'a device of this machine ("cpu", "cuda")', _is_there]
Location = Annotated[str | os.PathLike, "a path", lambda path: "\0" not in str(path) > ""]
Name = Annotated[str, "a name, not empty", str.strip]


def checked(function: Checked) -> Checked:
    """Check the arguments of a function, or of a class's `__init__`, before it runs."""
    if isinstance(function, type):
        function.__init__ = checked(function.__init__)
        return function
    signature = inspect.signature(function)
    hints = {n: p.annotation for n, p in signature.parameters.items() if "*" not in str(p)}

    @functools.wraps(function)
    def entrance(*given: Any, **named: Any) -> Any:
        try:
            values = (bound := signature.bind(*given, **named)).arguments
        except TypeError as error:
            wrong = re.search("unexpected .*'(.*)'", str(error))
            near = wrong and difflib.get_close_matches(wrong[1], hints, 1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            said = (
                f"there is no argument {wrong[1]!r}" if wrong else f"{function.__name__}: {error}"
            )
            raise InputError(f"{said}.{meant}") from None
        for name in hints.keys() & values.keys():
            values[name] = check(name, values[name], hints[name])
        for rule in RULES:
            rule(values)
        return function(*bound.args, **bound.kwargs)

    return entrance


def unchecked(function: Callable) -> Callable:
    """The function without its checks: for what runs in every step of a training."""
    return getattr(function, "__wrapped__", function)


def check(name: str, value: Any, hint: Any) -> Any:
    """The value, or what an iterator yields; InputError unless the hint and the name allow it."""
    if isinstance(value, Iterator):
        value = list(islice(value, _MOST + 1))
        if len(value) > _MOST:
            raise InputError(f"{name} must end; got an iterator of more than {_MOST:,} items.")
    elif isinstance(value, list) and any(get_origin(h) is tuple for h in (hint, *get_args(hint))):
        value = tuple(value)
    ends = _RANGE_OF.get(name, (-_LARGE, _LARGE))
    misfit = _misfit(name, value, hint, ends)
    if misfit:
        where, came, hint = misfit
        near = [text for text, v in _neighbours(came, hint) if not _misfit("", v, hint, ends)]
        meant = f" Did you mean {near[0]}?" if near else ""
        raise InputError(f"{where} is {_expected(hint, ends)}; got {show(came)}.{meant}")
    return value


def _misfit(where: str, value: Any, hint: Any, ends: tuple) -> tuple[str, Any, Any] | None:
    """The innermost part of a value that does not fit: its name, itself, and the hint for it."""
    kind, parts, inner = get_origin(hint) or hint, get_args(hint), None
    if kind is Annotated:
        passes = parts[2] if parts[2:] else _names(hint).__contains__
        inner = _misfit(where, value, parts[0], ends)
        fits = not inner and passes(value)
    elif kind in (Union, UnionType):
        found = [_misfit(where, value, part, ends) for part in parts]
        fits = not all(found)
        inner = fits or max(found, key=lambda misfit: len(misfit[0]))
    elif kind is Literal:
        fits = isinstance(value, str) and value in parts
    elif kind in _NUMBERS:
        number = isinstance(value, _NUMBERS[kind]) and not isinstance(value, bool)
        fits = number and ends[0] <= value <= ends[1]
    elif kind is Callable:
        fits = callable(value) and not isinstance(value, nn.Module)
    elif parts and (hasattr(value, "columns") or isinstance(value, str | Tensor | nn.Module)):
        fits = False  # they can be walked through, but are no lists
    elif parts and isinstance(value, kind):
        named = issubclass(kind, Mapping)
        items = value.items() if named else enumerate(value)
        each = (_misfit(f"{where}[{key!r}]", item, parts[named], ends) for key, item in items)
        inner = next(filter(None, each), None)
        fits = not inner
    else:
        fits = kind in (Any, inspect.Parameter.empty) or isinstance(value, kind)
    if not fits:
        return inner if inner and inner[0] != where else (where, value, hint)
    return None


def _expected(hint: Any, ends: tuple) -> str:
    kind, parts, (low, high) = get_origin(hint) or hint, get_args(hint), ends
    if kind in (Union, UnionType):
        return " or ".join(_expected(part, ends) for part in parts if part is not NoneType)
    if names := _names(hint):
        return f"one of {', '.join(names)}"
    if kind is Annotated:
        return parts[1]
    noun = _NOUNS.get(kind.__name__, f"a {kind.__name__}")
    if kind in _NUMBERS:
        noun = "a fraction" if high == 1 else noun
        lowest = "above 0" if low == _ABOVE_0 else "that is finite" if low < 0 else f"from {low}"
        noun += (
            f" {lowest}" + f", at most {high:,}" * (high < _LARGE) + " (0.2 is 20 %)" * (high == 1)
        )
    elif parts and kind is not Callable:
        noun = f"a list or dict, each item {_expected(parts[issubclass(kind, Mapping)], ends)}"
    return noun


def _names(hint: Any) -> list[str]:
    """The names that a hint knows."""
    kind, parts = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return [name for part in parts for name in _names(part)]
    return [
        *(parts if kind is Literal else parts[1]() if kind is Annotated and not parts[2:] else ())
    ]


def _neighbours(value: Any, hint: Any) -> Iterator[tuple[str, Any]]:
    """What may have been meant: how to write it, and what it is; whether it fits is not said."""
    known = {name.lower(): name for name in _names(hint)}
    for name in difflib.get_close_matches(str(value).lower(), known, 1):
        yield repr(known[name]), known[name]
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        number = float(value)
        for near in (int(number) if number.is_integer() else number, number / 100):
            if near == number or number >= 2:  # 20 for 20 %
                yield repr(near), near
    yield show([value]), [value]
    for name in ("masks", *getattr(value, "__dict__", ())):
        if not name.startswith("_") and (part := getattr(value, name, None)) is not None:
            yield f"its .{name}", part


def show(value: Any) -> str:
    """What came, in a few words."""
    if value is None:
        return "None (is a `return` missing?)"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(show, value[:5]))}{', ...' * (len(value) > 5)}]"
    if isinstance(value, str | numbers.Number | dict | set | range):
        return reprlib.repr(value)
    if hasattr(value, "shape"):
        return f"{getattr(value, 'dtype', 'a table')} of shape {tuple(value.shape)}"
    return getattr(value, "__name__", f"a {type(value).__name__}")
