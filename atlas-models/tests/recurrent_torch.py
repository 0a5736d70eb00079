"""Makes recurrent_torch.json: what PyTorch's GRU computes over packed sequences.

    python3 -m venv venv && venv/bin/pip install torch && venv/bin/python recurrent_torch.py

Each case holds the state dict, inputs [batch, steps, input] padded with zeros, initial states,
the outputs of every sequence, the final states, and the gradients of
sum(output * weights) + sum(final * final_weights) where weights count 1, 2, 3, ... / 10 through
every sequence's outputs in turn, and through the final states.
"""
import json
import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def case(kind, input_size, hidden, layers, lengths):
    cell = getattr(nn, kind)(input_size, hidden, layers, batch_first=True).double()
    batch, steps = len(lengths), max(lengths)
    x = torch.zeros(batch, steps, input_size, dtype=torch.float64)
    for i, n in enumerate(lengths):
        x[i, :n] = torch.randn(n, input_size, dtype=torch.float64)
    x.requires_grad_()
    states = [torch.randn(layers, batch, hidden, dtype=torch.float64, requires_grad=True)
              for _ in range(2 if kind == "LSTM" else 1)]
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    output, final = cell(packed, tuple(states) if kind == "LSTM" else states[0])
    output, _ = pad_packed_sequence(output, batch_first=True)
    final = list(final) if kind == "LSTM" else [final]
    outputs = [output[i, :n] for i, n in enumerate(lengths)]

    def ramp(tensor, start):
        count = torch.arange(start, start + tensor.numel(), dtype=torch.float64)
        return (tensor * (count + 1).reshape(tensor.shape) / 10).sum()

    loss, start = 0, 0
    for o in outputs:
        loss, start = loss + ramp(o, start), start + o.numel()
    for f in final:
        loss = loss + ramp(f, 0)
    loss.backward()
    listed = lambda t: t.detach().tolist()
    return {
        "kind": kind, "input": input_size, "hidden": hidden, "layers": layers, "lengths": lengths,
        "weights": {k: listed(v) for k, v in cell.named_parameters()},
        "x": listed(x), "states": [listed(s) for s in states],
        "outputs": [listed(o) for o in outputs], "final": [listed(f) for f in final],
        "loss": loss.item(),
        "gradients": {k: listed(v.grad) for k, v in cell.named_parameters()},
        "dx": listed(x.grad), "dstates": [listed(s.grad) for s in states],
    }


torch.manual_seed(0)
cases = [case(kind, 3, 4, layers, lengths)
         for kind in ("GRU", "LSTM")
         for layers, lengths in ((1, [1]), (1, [2, 2]), (2, [2, 4, 1, 3]), (3, [1, 3, 3]))]
cases += [case("GRU", 3, 4, 2, lengths) for lengths in ([5], [1, 1, 1])]
# The LSTM's cases are drawn for the numbers of the cases after them alone.
cases = [c for c in cases if c["kind"] == "GRU"]
with open(__file__.replace(".py", ".json"), "w") as f:
    json.dump(cases, f, separators=(",", ":"))
    f.write("\n")
