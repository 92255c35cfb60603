"""Knobs to turn: each function returns one widget that draws from finished tables, so it is fast.

All controls have labels and work from the keyboard; every picture has a text alternative, which
also stands above it; an error in a callback is shown in the picture's place. Without a kernel a
notebook shows the last picture.
"""

from lthlab.widgets.cost import cost_calculator
from lthlab.widgets.explorer import sparsity_explorer
from lthlab.widgets.lab import live_lab
from lthlab.widgets.reference import rewind_dial, ticket_race
from lthlab.widgets.words import word_pruner
