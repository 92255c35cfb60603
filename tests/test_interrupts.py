"""Wherever an interrupt strikes, pruned weights are 0.0, and what was trained is kept."""

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from helpers import bits, some_masks, states_equal
from torch.optim.optimizer import register_optimizer_step_post_hook

from lthlab.fast.by_hand import ByHand, chain_of
from lthlab.fast.sparse import Sparse
from lthlab.models import build_model
from lthlab.recipes import Recipe
from lthlab.steps import STEPS, Step, cross_entropy
from lthlab.training import train

# Both revive pruned weights at every update: by their gradients and, once masked, by momentum.
RECIPES = {
    "adam": Recipe("adam", 1e-2, batch_size=20, duration="13it"),
    "momentum": Recipe("sgd", 0.05, 0.9, 1e-2, 20, "13it"),
}
# The kind of step, the density, and the class that makes the gradients.
KINDS = {
    "autograd": (None, 0.3, Step),
    "by hand": ("fast", 0.7, ByHand),
    "sparse": ("fast", 0.3, Sparse),
}


def setting(kind, dataset):
    step, keep, expected = KINDS[kind]
    model, whole = (build_model("mlp-8-6", dataset) for _ in range(2))
    masks = some_masks(model, keep)
    if step:
        assert type(STEPS[step](whole, masks, RECIPES["adam"], cross_entropy)) is expected
    return model, whole, masks, step


def revived(model, masks) -> int:
    """How many bits of pruned weights are set."""
    return sum(int((bits(model.get_parameter(n))[~mask] != 0).sum()) for n, mask in masks.items())


class Interrupting:
    """Updates the weights from the second step on, then interrupts, before they are masked."""

    def updater(self, optimizer):
        update, left = super().updater(optimizer), [3]

        def update_then_interrupt():
            update()
            left[0] -= 1
            if not left[0]:
                self.seen.append(revived(self.model, self.masks))
                raise KeyboardInterrupt

        return update_then_interrupt


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_between_an_update_and_its_masks(kind, recipe, tiny):
    seen, recipe, known = [], RECIPES[recipe], KINDS[kind][-1]
    model, whole, masks, step = setting(kind, tiny)
    interrupting = type("InterruptingStep", (Interrupting, known), {"masks": masks, "seen": seen})

    def factory(model, masks, recipe, loss):
        return interrupting(model, masks, recipe, loss if known is Step else chain_of(model))

    with pytest.raises(KeyboardInterrupt):
        train(model, tiny, recipe, masks, step=factory)
    # The sparse step alone leaves pruned weights alone.
    assert len(seen) == 1 and (seen[0] > 0) == (kind != "sparse")
    assert revived(model, masks) == 0
    train(whole, tiny, replace(recipe, duration="4it"), masks, step=step)
    assert states_equal(model.state_dict(), whole.state_dict()), "four steps are done, and kept"


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_at_the_end_of_the_optimisers_step(kind, tiny):
    model, _, masks, step = setting(kind, tiny)
    seen = []

    def interrupt(optimizer, *_):
        seen.append(revived(model, masks))
        raise KeyboardInterrupt

    hook = register_optimizer_step_post_hook(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(model, tiny, RECIPES["adam"], masks, step=step)
    finally:
        hook.remove()
    assert len(seen) == 1 and (seen[0] > 0) == (kind != "sparse")
    assert revived(model, masks) == 0


@pytest.mark.parametrize("step", [None, "fast"])
@pytest.mark.parametrize("when", ["before", "after", "in the backward pass"])
def test_an_interrupt_inside_a_loss_keeps_the_steps_before(when, step, tiny):
    model, whole = (build_model("mlp-8-6", tiny) for _ in range(2))
    masks, calls = some_masks(model, 0.3), []

    def interrupt(gradient):
        raise KeyboardInterrupt

    def loss(model, x, y):
        calls.append(len(x))
        if len(calls) == 6 and when == "before":
            raise KeyboardInterrupt
        value = cross_entropy(model, x, y)
        if len(calls) == 6 and when == "after":
            raise KeyboardInterrupt
        if len(calls) == 6:
            value.register_hook(interrupt)
        return value

    with pytest.raises(KeyboardInterrupt):
        train(model, tiny, RECIPES["momentum"], masks, step=step, loss=loss)
    assert len(calls) == 6 and revived(model, masks) == 0
    train(whole, tiny, replace(RECIPES["momentum"], duration="5it"), masks)
    assert states_equal(model.state_dict(), whole.state_dict())


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_between_steps_keeps_what_was_trained(kind, tiny):
    model, whole, masks, step = setting(kind, tiny)

    def interrupt(now):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(model, tiny, RECIPES["adam"], masks, step=step, during={7: interrupt})
    train(whole, tiny, replace(RECIPES["adam"], duration="7it"), masks, step=step)
    assert revived(model, masks) == 0
    assert states_equal(model.state_dict(), whole.state_dict())


def test_a_trained_start_is_masked_even_if_its_training_is_interrupted_at_once(tiny):
    model = build_model("mlp-8-6", tiny)
    start = train(model, tiny, RECIPES["adam"], states=[5]).states[5]
    masks = some_masks(model, 0.3)

    def loss(model, x, y):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(model, tiny, RECIPES["adam"], masks, start=start, loss=loss, evaluate_every=0)
    for name, mask in masks.items():
        assert torch.equal(model.get_parameter(name)[mask], start.model[name][mask])
    assert revived(model, masks) == 0


ENDLESS = """
import signal
import torch
from lthlab import Recipe, build_model, full_masks, load_dataset, prune
from lthlab.pruning import random
from lthlab.training import training
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
torch.set_num_threads(1)
data = load_dataset("fashion-mini", "cpu")
for number, (step, keep) in enumerate([(None, 0.3), ("fast", 0.7), ("fast", 0.3)]):
    model = build_model("lenet-300-100", data)
    masks = prune(random(model), full_masks(model), 1 - keep)
    for _ in training(model, data, Recipe("adam", duration="2it"), masks, step=step):
        pass
    for _ in range(ROUNDS):
        before = model.fc1.weight.detach().clone()
        try:
            print("training", flush=True)
            recipe = Recipe("adam", duration="100000000it")
            for _ in training(model, data, recipe, masks, step=step):
                pass
        except KeyboardInterrupt:
            pass
        weights = [(model.get_parameter(n).detach().view(torch.int32), m) for n, m in masks.items()]
        moved = not torch.equal(model.fc1.weight, before)
        print(number, moved, sum(int((w[~m] != 0).sum()) for w, m in weights), flush=True)
"""


def test_control_c_at_any_time_leaves_pruned_weights_at_zero():
    rounds, draw, found = 12, random.Random(1), []
    script = ENDLESS.replace("ROUNDS", str(rounds))
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script], **options) as child:
        for line in child.stdout:
            if line == "training\n":
                time.sleep(draw.uniform(0.02, 0.12))
                child.send_signal(signal.SIGINT)
            else:
                number, moved, alive = line.split()
                found.append((int(number), moved == "True", int(alive)))
        errors = child.stderr.read()
    assert child.returncode == 0, errors
    assert [number for number, _, _ in found] == [n for n in range(3) for _ in range(rounds)]
    assert [alive for _, _, alive in found] == [0] * 3 * rounds
    trained = [sum(moved for number, moved, _ in found if number == n) for n in range(3)]
    assert min(trained) > rounds / 2, "interrupts came before any step: this test showed nothing"
