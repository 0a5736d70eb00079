"""Makes operations_torch.json: what PyTorch's operations compute in double precision.

    python3 -m venv venv && venv/bin/pip install torch && venv/bin/python operations_torch.py

Each case holds an operation's inputs, its output and the gradients of sum(output * weights) by
the inputs, where the weights count 1, 2, 3, ... / 10 through the output. The cross-entropy is the
sum over the rows whose target is not `ignored`.
"""
import json
import torch
import torch.nn.functional as F


def random(*shape, scale=1.0):
    return (torch.randn(*shape, dtype=torch.float64) * scale).requires_grad_()


def listed(tensor):
    return tensor.detach().tolist()


def case(operation, compute, inputs, **settings):
    output = compute(*inputs.values())
    weights = torch.arange(1, output.numel() + 1, dtype=torch.float64).reshape(output.shape) / 10
    (output * weights).sum().backward()
    return {
        "operation": operation, **settings,
        "inputs": {name: listed(value) for name, value in inputs.items()},
        "output": listed(output),
        "gradients": {name: listed(value.grad) for name, value in inputs.items()},
    }


def cross_entropy(logits, targets, ignored):
    def compute(logits):
        index = -100 if ignored is None else ignored
        return F.cross_entropy(logits, torch.tensor(targets), ignore_index=index, reduction="sum")

    return case("cross_entropy", compute, {"logits": logits}, targets=targets, ignored=ignored)


def layer_norm(x, epsilon):
    size = x.shape[-1]
    inputs = {"x": x, "weight": random(size), "bias": random(size)}
    compute = lambda x, weight, bias: F.layer_norm(x, (size,), weight, bias, epsilon)
    return case("layer_norm", compute, inputs, epsilon=epsilon)


def linear(rows, input_size, output_size):
    inputs = {"x": random(rows, input_size), "weight": random(output_size, input_size),
              "bias": random(output_size)}
    return case("linear", F.linear, inputs)


torch.manual_seed(0)
# The draws that no case uses are there for the numbers of the cases after them.
_ = [random(*shape) for shape in ((1, 1), (5, 19), (2, 3, 4), (3, 6), (3, 18))]
cases = [
    cross_entropy(random(1, 1), [0], None),
    cross_entropy(random(4, 5), [4, 0, 2, 2], None),
    cross_entropy(random(7, 40, scale=3.0), [39, 1, 7, 0, 1, 1, 20], 1),
    cross_entropy(random(3, 6, scale=200.0), [5, 2, 0], 2),
    cross_entropy(random(2, 5), [3, 3], 3),
    layer_norm(random(1, 1), 1e-5),
    layer_norm(random(5, 7), 1e-5),
    layer_norm(random(2, 3, 18, scale=4.0), 1e-3),
    layer_norm(random(40, 9, scale=1e-3), 1e-5),
]
_ = [random(*shape) for shape in ((1, 1), (5, 3), (6, 4))]
cases += [
    linear(1, 1, 1),
    linear(6, 9, 5),
    linear(21, 3, 34),
]
with open(__file__.replace(".py", ".json"), "w") as f:
    json.dump(cases, f, separators=(",", ":"), allow_nan=False)
    f.write("\n")
