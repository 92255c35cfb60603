"""Backpropagation written out for fully connected networks, and the optimiser's own kernel."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lthlab.checks import checked
from lthlab.masks import Masks
from lthlab.recipes import Recipe
from lthlab.steps import Step, cross_entropy

aten = torch.ops.aten


@checked
def chain_of(model: nn.Module) -> dict[str, nn.Linear]:
    """The layers of a plain chain Flatten, Linear, ReLU, Linear, ..., Linear, by name.

    Empty for any other network, and for one with hooks, which autograd alone obeys.
    """
    layers = {name: part for name, part in model.named_children() if type(part) is nn.Linear}
    expected = [nn.Flatten, *[nn.Linear, nn.ReLU] * (len(layers) - 1), nn.Linear]
    parameters = [p for layer in layers.values() for p in (layer.weight, layer.bias)]
    plain = (
        type(model).forward is nn.Sequential.forward
        and [*map(type, model.children())] == expected
        and all(p is not None and p.requires_grad for p in parameters)
        and all(p.dtype == torch.float32 for p in parameters)
        and len({*parameters}) == len(parameters)  # none is shared
        and not any(map(_has_hooks, (*model.modules(), *parameters)))
    )
    return layers if plain else {}


def _has_hooks(thing: nn.Module | nn.Parameter) -> bool:
    """Whether something listens to a module or a tensor, or its forward was replaced."""
    names = (
        "_forward_hooks",
        "_forward_pre_hooks",
        "_backward_hooks",
        "_backward_pre_hooks",
        "_post_accumulate_grad_hooks",
    )
    return "forward" in vars(thing) or any(getattr(thing, name, None) for name in names)


class ByHand(Step):
    """Backpropagation written out: autograd's bits, without its bookkeeping."""

    def __init__(
        self, model: nn.Module, masks: Masks | None, recipe: Recipe, layers: dict[str, nn.Linear]
    ):
        super().__init__(model, masks, recipe, cross_entropy)
        self.batch = recipe.batch_size
        self.weights = [layer.weight.detach() for layer in layers.values()]
        self.biases = [layer.bias.detach() for layer in layers.values()]
        allocate_gradients(self.trained)
        self.gradients = [(layer.weight.grad, layer.bias.grad) for layer in layers.values()]
        device = self.weights[0].device
        self.outputs = [torch.empty(self.batch, len(b), device=device) for b in self.biases]
        self.inward = [torch.empty_like(output) for output in self.outputs[:-1]]
        self.one, self.count = torch.tensor([1.0, self.batch], device=device)

    @torch.no_grad()
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        values = [x.flatten(1)]
        check_batch(values[0], y, self.batch, self.weights[0].shape[1])
        for weight, bias, output in zip(self.weights, self.biases, self.outputs, strict=True):
            values.append(torch.addmm(bias, values[-1], weight.t(), out=output))
            if output is not self.outputs[-1]:
                output.relu_()
        # The mean cross-entropy, and its gradient by the logits: (softmax - one-hot) / batch.
        log_p = values.pop().log_softmax(1)
        gradient = aten.nll_loss_backward(self.one, log_p, y, None, 1, -100, self.count)
        gradient = aten._log_softmax_backward_data(gradient, log_p, 1, log_p.dtype)
        for number in reversed(range(len(values))):
            of_weight, of_bias = self.gradients[number]
            torch.mm(gradient.t(), values[number], out=of_weight)
            torch.sum(gradient, 0, out=of_bias)
            if number:
                inward = self.inward[number - 1]
                gradient = torch.mm(gradient, self.weights[number], out=inward)
                gradient = aten.threshold_backward(gradient, values[number], 0)
        return F.nll_loss(log_p, y)

    def updater(self, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
        return fused_kernel(optimizer)


def check_batch(x: Tensor, y: Tensor, batch: int, features: int) -> None:
    """Raise ValueError unless a flattened batch and its labels are what the step was made for."""
    if x.shape != (batch, features) or x.dtype != torch.float32:
        expected = f"float32 inputs of shape ({batch}, {features})"
        raise ValueError(f"This step takes {expected}; got {x.dtype} of shape {tuple(x.shape)}.")
    if y.shape != (batch,) or y.dtype != torch.int64:
        came = f"{y.dtype} of shape {tuple(y.shape)}"
        raise ValueError(f"This step takes {batch} labels of type int64; got {came}.")


def fused_kernel(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """`optimizer.step` for gradients that stay where they are: its own kernel, called directly.

    At every call PyTorch collects parameters, gradients and state anew; on small networks that
    takes as long as the kernel. To be made after the first step, which creates the state.
    """
    (group,) = optimizer.param_groups
    parameters, sgd = group["params"], isinstance(optimizer, torch.optim.SGD)
    states = [optimizer.state[p] for p in parameters]
    memory = ["momentum_buffer"] if sgd else ["exp_avg", "exp_avg_sq"]
    tensors = [parameters, [p.grad for p in parameters]]
    tensors += [[s[name] for s in states if s.get(name) is not None] for name in memory]
    names = ["momentum", "dampening", "nesterov"] if sgd else ["eps", "amsgrad"]
    fixed = {name: group[name] for name in ["weight_decay", "maximize", *names]}
    if sgd:
        return lambda: torch._fused_sgd_(*tensors, lr=group["lr"], is_first_step=False, **fixed)
    fixed["beta1"], fixed["beta2"] = group["betas"]
    decoupled = isinstance(optimizer, torch.optim.AdamW)
    kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_
    counter = torch.stack([s["step"] for s in states])
    steps = counter.unbind()  # views: counted up together, not one by one
    for state, own in zip(states, steps, strict=True):
        state["step"] = own

    def step() -> None:
        counter.add_(1)
        kernel(*tensors, [], steps, lr=group["lr"], **fixed)

    return step


def allocate_gradients(trained: dict[str, nn.Parameter]) -> None:
    for parameter in trained.values():
        parameter.grad = torch.empty_like(parameter)  # written anew at every step
