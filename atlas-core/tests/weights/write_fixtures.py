"""Writes the files beside it: the weights of three models of PyTorch, and their outputs.

    python3 -m venv venv && venv/bin/pip install torch numpy safetensors
    venv/bin/python write_fixtures.py

They were written by PyTorch 2.15 and safetensors 0.8.
"""
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).parent


class Cnn(nn.Module):
    """Two convolutions, each with a batch norm, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        )
        self.classifier = nn.Linear(8, 3)

    def forward(self, images):
        return self.classifier(self.features(images).mean((2, 3)))


class Conv1D(nn.Module):
    """The linear layer of GPT-2, whose weight is [in, out]."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) * 0.3)
        self.bias = nn.Parameter(torch.randn(outputs) * 0.1)

    def forward(self, x):
        return x @ self.weight + self.bias


class Attention(nn.Module):
    def __init__(self, width, heads, context):
        super().__init__()
        self.heads = heads
        self.c_attn = Conv1D(width, 3 * width)
        self.c_proj = Conv1D(width, width)
        self.register_buffer("bias", torch.ones(context, context).tril().bool())

    def forward(self, x):
        batch, steps, width = x.shape
        split = lambda y: y.view(batch, steps, self.heads, -1).transpose(1, 2)
        query, key, value = (split(y) for y in self.c_attn(x).split(width, 2))
        scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
        scores = scores.masked_fill(~self.bias[:steps, :steps], float("-inf"))
        mixed = scores.softmax(-1) @ value
        return self.c_proj(mixed.transpose(1, 2).reshape(batch, steps, width))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc = Conv1D(width, 4 * width)
        self.c_proj = Conv1D(4 * width, width)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, width, heads, context):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, context)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Gpt(nn.Module):
    """GPT-2 by the names of Hugging Face's `GPT2LMHeadModel`, with tied weights."""

    def __init__(self, vocabulary=24, width=16, heads=2, context=10, layers=2):
        super().__init__()
        blocks = [Block(width, heads, context) for _ in range(layers)]
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(vocabulary, width),
            "wpe": nn.Embedding(context, width),
            "h": nn.ModuleList(blocks),
            "ln_f": nn.LayerNorm(width),
        })
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = self.transformer["wte"].weight

    def forward(self, ids):
        parts = self.transformer
        x = parts["wte"](ids) + parts["wpe"](torch.arange(ids.shape[1]))
        for block in parts["h"]:
            x = block(x)
        return self.lm_head(parts["ln_f"](x))


class Tagger(nn.Module):
    """A score of each tag for each word, by an LSTM in both directions."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.lstm = nn.LSTM(8, 6, batch_first=True, bidirectional=True)
        self.out = nn.Linear(12, 5)

    def forward(self, ids):
        return self.out(self.lstm(self.embedding(ids))[0])


def shake(model):
    """Makes ones and zeros, with which much would go unnoticed, into numbers."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter += torch.randn_like(parameter) * 0.2


def write_outputs(name, model, inputs):
    with torch.no_grad():
        tensors = {"inputs": inputs, "outputs": model.eval()(inputs).contiguous()}
    save_file(tensors, HERE / f"{name}.outputs.safetensors")


def write_cnn():
    model = Cnn()
    shake(model)
    for _ in range(3):  # Moves the running statistics.
        model.train()(torch.randn(8, 1, 8, 8) * 2 + 1)
    save_file(model.state_dict(), HERE / "cnn.safetensors")
    write_outputs("cnn", model, torch.randn(2, 1, 8, 8))


def write_gpt():
    model = Gpt()
    shake(model)
    with torch.no_grad():
        model.lm_head.weight *= 0.2  # Logits of the size of one.
    torch.save(model.state_dict(), HERE / "gpt.pt")
    # As `save_pretrained` does: of tied weights, one.
    tensors = {name: tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    folder = HERE / "gpt"
    folder.mkdir(exist_ok=True)
    files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    places = {name: files[".h.1." in name or ".ln_f." in name] for name in tensors}
    for file in files:
        shard = {name: tensor for name, tensor in tensors.items() if places[name] == file}
        save_file(shard, folder / file, metadata={"format": "pt"})
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    write_outputs("gpt", model, torch.randint(24, (2, 7)))


def write_tagger():
    model = Tagger()
    torch.save(model.state_dict(), HERE / "tagger.pt")
    write_outputs("tagger", model, torch.randint(20, (3, 5)))


torch.manual_seed(0)
write_cnn()
write_gpt()
write_tagger()
