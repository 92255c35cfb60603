"""Knobs to turn: each function returns a panel that answers in the page, with or without a kernel.

Python computes the data once; knobs.js, the same in JupyterLab, in Voila and on a web page, draws
them and answers the controls (mouse, touch, keyboard). A sentence says what is shown. Where no
script runs, a still picture stands in the panel's place. The live lab alone needs a kernel.
"""

from lthlab.widgets.cost import cost_calculator
from lthlab.widgets.evidence import evidence
from lthlab.widgets.explorer import sparsity_explorer
from lthlab.widgets.lab import live_lab
from lthlab.widgets.reference import rewind_dial, ticket_race
from lthlab.widgets.words import word_pruner
