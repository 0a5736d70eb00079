"""Makes operations_torch.json: what PyTorch's operations compute in double precision.

    python3 -m venv venv && venv/bin/pip install torch && venv/bin/python operations_torch.py

Each case holds an operation's inputs, its output and the gradients of sum(output * weights) by
the inputs, where the weights count 1, 2, 3, ... / 10 through the output. The cross-entropy is the
sum over the rows whose target is not `ignored`. The rows of sequences lie one sequence after the
other.
"""
import json
import torch
import torch.nn.functional as F
from torch import nn


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


def by_sequence(lengths, compute, *rows):
    """What `compute` makes of each sequence's rows, [1, length, width]."""
    parts = zip(*(torch.split(tensor, lengths) for tensor in rows))
    return torch.cat([compute(*(part[None] for part in sequence))[0] for sequence in parts])


def attention(lengths, heads, width, causal):
    def one(query, key, value):
        split = lambda x: x.unflatten(2, (heads, -1)).transpose(1, 2)
        attended = F.scaled_dot_product_attention(
            split(query), split(key), split(value), is_causal=causal)
        return attended.transpose(1, 2).flatten(2)

    inputs = {name: random(sum(lengths), width) for name in ("query", "key", "value")}
    return case("attention", lambda *rows: by_sequence(lengths, one, *rows), inputs,
                lengths=lengths, heads=heads, causal=causal)


def convolution(lengths, input_size, output_size, kernel):
    def compute(rows, weight, bias):
        one = lambda x: F.conv1d(x.transpose(1, 2), weight, bias, padding="same").transpose(1, 2)
        return by_sequence(lengths, one, rows)

    inputs = {"rows": random(sum(lengths), input_size),
              "weight": random(output_size, input_size, kernel), "bias": random(output_size)}
    return case("convolution", compute, inputs, lengths=lengths)


def transformer(lengths, width, heads, layers, feed_forward, causal):
    layer = nn.TransformerEncoderLayer(
        width, heads, feed_forward, 0.0, lambda x: F.gelu(x, approximate="tanh"),
        batch_first=True, norm_first=True)
    model = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), False).double()
    names = [name for name, _ in model.named_parameters()]

    def compute(rows, *weights):
        weights = dict(zip(names, weights))

        def one(x):
            mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=x.dtype)
            mask = {"mask": mask, "is_causal": True} if causal else {}
            return torch.func.functional_call(model, weights, x, mask)

        return by_sequence(lengths, one, rows)

    weights = {name: random(*weight.shape, scale=0.5) for name, weight in model.named_parameters()}
    inputs = {"rows": random(sum(lengths), width), **weights}
    return case("transformer", compute, inputs, lengths=lengths, heads=heads, layers=layers,
                causal=causal)


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
    attention([1], 1, 1, False),
    attention([2, 5, 1, 3], 2, 6, False),
    attention([2, 5, 1, 3], 2, 6, True),
    convolution([1], 1, 1, 1),
    convolution([2, 5, 1, 3], 3, 2, 3),
    convolution([4, 9], 2, 3, 6),
    transformer([2, 5, 1, 3], 4, 2, 2, 6, False),
    transformer([2, 5, 1, 3], 4, 2, 2, 6, True),
]
with open(__file__.replace(".py", ".json"), "w") as f:
    json.dump(cases, f, separators=(",", ":"), allow_nan=False)
    f.write("\n")
