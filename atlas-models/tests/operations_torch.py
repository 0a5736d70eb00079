"""Makes operations_torch.json: what PyTorch's operations compute in double precision.

    python3 -m venv venv && venv/bin/pip install torch && venv/bin/python operations_torch.py

Each case holds an operation's inputs, its output and the gradients of sum(output * weights) by
the inputs, where the weights count 1, 2, 3, ... / 10 through the output. The cross-entropy is the
sum over the rows whose target is not `ignored`. Infinities are written as strings.
"""
import json
import math
import torch
import torch.nn.functional as F


def random(*shape, scale=1.0):
    return (torch.randn(*shape, dtype=torch.float64) * scale).requires_grad_()


def listed(tensor):
    def finite(value):
        if isinstance(value, list):
            return [finite(element) for element in value]
        return value if math.isfinite(value) else str(value)

    return finite(tensor.detach().tolist())


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


def softmax(x):
    return case("softmax", lambda x: F.softmax(x, -1), {"x": x})


def masked(x, *places):
    with torch.no_grad():
        for place in places:
            x[place] = -math.inf
    return x


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


def embedding(vocabulary, width, ids, padding):
    compute = lambda weight: F.embedding(torch.tensor(ids), weight, padding_idx=padding)
    inputs = {"weight": random(vocabulary, width)}
    return case("embedding", compute, inputs, ids=ids, padding=padding)


def linear(rows, input_size, output_size):
    inputs = {"x": random(rows, input_size), "weight": random(output_size, input_size),
              "bias": random(output_size)}
    return case("linear", F.linear, inputs)


torch.manual_seed(0)
cases = [
    softmax(random(1, 1)),
    softmax(random(5, 19, scale=3.0)),
    softmax(random(2, 3, 4)),
    softmax(random(3, 6, scale=200.0)),
    softmax(masked(random(3, 18), (0, 0), (1, 17), (1, 3), (2, slice(1, None)))),
    cross_entropy(random(1, 1), [0], None),
    cross_entropy(random(4, 5), [4, 0, 2, 2], None),
    cross_entropy(random(7, 40, scale=3.0), [39, 1, 7, 0, 1, 1, 20], 1),
    cross_entropy(random(3, 6, scale=200.0), [5, 2, 0], 2),
    cross_entropy(random(2, 5), [3, 3], 3),
    layer_norm(random(1, 1), 1e-5),
    layer_norm(random(5, 7), 1e-5),
    layer_norm(random(2, 3, 18, scale=4.0), 1e-3),
    layer_norm(random(40, 9, scale=1e-3), 1e-5),
    embedding(1, 1, [0], None),
    embedding(5, 3, [4, 0, 4, 2, 2, 4], None),
    embedding(6, 4, [5, 1, 1, 3, 5, 2], 1),
    linear(1, 1, 1),
    linear(6, 9, 5),
    linear(21, 3, 34),
]
with open(__file__.replace(".py", ".json"), "w") as f:
    json.dump(cases, f, separators=(",", ":"), allow_nan=False)
    f.write("\n")
