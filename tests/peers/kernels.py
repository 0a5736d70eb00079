"""PyTorch's side of `cargo bench` in atlas-models: the transformer and the convolutional reader on this machine's CPU.

    python3 -m venv venv && venv/bin/pip install torch
    venv/bin/python kernels.py --threads 2

Prints one JSON object a line: {"peer", "case", "milliseconds"}, the median of the repeats. A batch
is padded to its longest sequence, as PyTorch's layers read it; "equal" has nothing to pad.
"""
import argparse, json, statistics, time
import torch
import torch.nn as nn
import torch.nn.functional as F

BATCH, WIDTH, HEADS, VOCABULARY = 128, 256, 8, 40
LENGTHS = {"equal": [42] * BATCH, "zinc": [22 + i * 37 % 41 for i in range(BATCH)]}


def padded(lengths):
    ids, start = [], 0
    for length in lengths:
        ids.append(torch.arange(start, start + length) * 7 % VOCABULARY)
        start += length
    mask = nn.utils.rnn.pad_sequence([torch.ones(len(i)) for i in ids], True).bool()
    return nn.utils.rnn.pad_sequence(ids, True), mask


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, 0.0, lambda x: F.gelu(x, approximate="tanh"),
            batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 4, nn.LayerNorm(WIDTH), False)
        self.logits = nn.Linear(WIDTH, VOCABULARY)
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.constant = nn.Parameter(torch.randn(BATCH, 1, WIDTH))
        self.positions = torch.randn(100, WIDTH)

    def forward(self, ids, mask):
        steps = ids.shape[1]
        causal = nn.Transformer.generate_square_subsequent_mask(steps)
        rows = self.embedding(ids) + self.positions[:steps] + self.constant
        # What follows a sequence is causally apart from it: no mask of padding is needed.
        rows = self.layers(rows, mask=causal, is_causal=True)
        return F.cross_entropy(self.logits(rows[mask]), ids[mask], reduction="sum")


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        sizes = ((VOCABULARY, 9, 9), (9, 9, 9), (9, 10, 11))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(i, o, k, padding="same") for i, o, k in sizes)
        self.embedding = nn.Embedding(VOCABULARY, VOCABULARY)

    def forward(self, ids, mask):
        rows = self.embedding(ids).transpose(1, 2)
        for convolution in self.convolutions:
            # What is beyond a sequence is zero, as it is in Atlas.
            rows = (convolution(rows * mask[:, None])).tanh()
        return (rows * mask[:, None]).square().sum()


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--threads", type=int, default=2); a.add_argument("--repeats", type=int, default=5)
    a.add_argument("--only", default="")
    a = a.parse_args()
    torch.manual_seed(0); torch.set_num_threads(a.threads)
    for name, model in (("transformer", Decoder()), ("convolution", Reader())):
        for lengths, values in LENGTHS.items():
            case = f"{name} {lengths} backward"
            if a.only not in case:
                continue
            ids, mask = padded(values)
            times = []
            for _ in range(a.repeats + 1):
                start = time.perf_counter()
                model(ids, mask).backward(); model.zero_grad()
                times.append(time.perf_counter() - start)
            print(json.dumps({"peer": f"torch {torch.__version__}", "case": case,
                              "milliseconds": round(statistics.median(times[1:]) * 1e3, 2)}),
                  flush=True)


if __name__ == "__main__":
    main()
