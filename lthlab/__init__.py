"""lthlab: find winning lottery tickets, and see for yourself what they can do.

The rooms, in the order that data walks through them: data, models, masks, interop, pruning, recipes, batches, stack,
sparse, compaction, optimizers, training, ensemble, tickets, stability, dynamic, run, arms, experiments, cost, plots.
Everything a notebook needs can be imported from here.
"""

from lthlab.arms import ARMS, before_training
from lthlab.compaction import compact
from lthlab.cost import (
    Assumptions,
    Flops,
    Memory,
    Parameters,
    inference_flops,
    parameters,
    storage_bytes,
    training_flops,
    training_memory,
)
from lthlab.data import DATASETS, Dataset, Split, default_device, load_dataset, make_dataset
from lthlab.dynamic import EarlyBird, drop_and_grow, early_bird, train_dynamic
from lthlab.ensemble import stacking_gain, train_stacked
from lthlab.experiments import Interval, interval, paired, run_experiment
from lthlab.interop import csr_state, from_csr_state, from_torch_prune_, to_torch_prune_
from lthlab.masks import (
    Masks,
    apply_masks_,
    check_masks,
    count_kept,
    density,
    full_masks,
    layer_densities,
    list_parameters,
    load_masks,
    load_weights_,
    mask_applier,
    overlap,
    prunable_weights,
    read_metadata,
    save_masks,
    save_weights,
    shuffle_masks,
)
from lthlab.models import build_model, initialize_
from lthlab.pruning import (
    Batch,
    Scores,
    draw_batch,
    erk_densities,
    grasp,
    layer_fractions,
    magnitude,
    obd,
    prune,
    prune_at_init,
    random,
    snip,
    synflow,
)
from lthlab.recipes import Recipe, count_steps, recipe_for
from lthlab.sparse import Speed
from lthlab.stability import error_barrier, interpolate, train_copies
from lthlab.tickets import Level, Ticket, count_levels, find_ticket, level_sizes, pruning_rates, reinitialize, rewind
from lthlab.training import History, Snapshot, evaluate, train

__version__ = "0.1.0"
