"""GruVae in PyTorch, and what it makes of a bundle of `gru-vae`.

    python3 gru_vae.py check BUNDLE     largest differences from the outputs stored in the bundle
    python3 gru_vae.py write FOLDER     a model as the Python system saved it, and its latents

Needs torch, numpy and safetensors. The latents that `write` leaves in FOLDER.json were computed by
the module that it saved.
"""
import json
import re
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

START, END = 1, 2
TOKEN = re.compile(r"\[[^\]]+\]|Br|Cl|%\d\d|.")


class Encoder(nn.Module):
    def __init__(self, p, tokens, latent):
        super().__init__()
        self.embedding = nn.Embedding(tokens, p["embedding_size"])
        self.gru = nn.GRU(p["embedding_size"], p["hidden_size"], p["layers"])
        self.mean = nn.Linear(p["hidden_size"], latent)
        self.log_variance = nn.Linear(p["hidden_size"], latent)


class Decoder(nn.Module):
    def __init__(self, p, tokens, latent):
        super().__init__()
        self.embedding = nn.Embedding(tokens, p["embedding_size"])
        self.hidden = nn.Linear(latent, p["hidden_size"])
        self.gru = nn.GRU(p["embedding_size"] + latent, p["hidden_size"], p["layers"])
        self.logits = nn.Linear(p["hidden_size"], tokens)


class GruVae:
    NETWORKS = ("encoder", "decoder")

    def __init__(self, p):
        self.vocabulary = p["vocabulary"]
        tokens, latent = len(self.vocabulary), p["latent"]["size"]
        self.encoder = Encoder(p["reader"], tokens, latent)
        self.decoder = Decoder(p["writer"], tokens, latent)

    def ids(self, smiles):
        return [self.vocabulary.index(token) for token in TOKEN.findall(smiles)]

    def latents(self, molecules):
        """[batch, latent]: each molecule by itself, so that nothing is padded."""
        rows = []
        for molecule in molecules:
            ids = torch.tensor([START, *self.ids(molecule), END])
            _, last = self.encoder.gru(self.encoder.embedding(ids))
            rows.append(self.encoder.mean(last[-1]))
        return torch.stack(rows)

    def logits(self, molecules, latents):
        """Under the molecules' own tokens: step by step, in each the longest molecules first."""
        each = []
        for molecule, latent in zip(molecules, latents):
            embedded = self.decoder.embedding(torch.tensor([START, *self.ids(molecule)]))
            inputs = torch.cat([embedded, latent.expand(len(embedded), -1)], dim=1)
            start = self.decoder.hidden(latent).expand(self.decoder.gru.num_layers, -1)
            output, _ = self.decoder.gru(inputs, start.contiguous())
            each.append(self.decoder.logits(output))
        each.sort(key=len, reverse=True)
        steps = range(len(each[0]))
        return torch.stack([rows[step] for step in steps for rows in each if step < len(rows)])


def check(bundle):
    content = json.loads((bundle / "atlas.json").read_text())["content"]
    model = GruVae(content["params"])
    for name in model.NETWORKS:
        tensors = load_file(bundle / f"{name}.safetensors")
        getattr(model, name).load_state_dict(tensors, strict=True)
    golden = load_file(bundle / "golden.safetensors")
    molecules = json.loads(bytes(golden["input-texts"].tolist()))
    latents = model.latents(molecules)
    logits = model.logits(molecules, latents)
    differences = {"molecules": len(molecules)}
    for name, computed in (("latents", latents), ("logits", logits)):
        stored = golden[f"output.{name}"]
        assert computed.shape == stored.shape, (name, computed.shape, stored.shape)
        differences[name] = {
            "difference": (computed - stored).abs().max().item(),
            "magnitude": stored.abs().max().item(),
        }
    print(json.dumps(differences))


def write(folder):
    torch.manual_seed(7)
    args = {
        "vocabulary": ["<pad>", "<start>", "<end>", "(", ")", "1", "=", "Br", "C", "N", "O", "[nH]", "c"],
        "longest": 20,
        "tokens": {"notation": "atoms", "read": "as-given", "write": "as-given", "word_dropout": 0.0},
        "reader": {
            "embedding_size": 5, "hidden_size": 6, "layers": 2, "bidirectional": False, "dropout": 0.1
        },
        "latent": {"size": 4, "kind": "gaussian", "free_bits": 0.0},
        "writer": {"embedding_size": 5, "hidden_size": 7, "layers": 2, "dropout": 0.1},
        "prior_components": 0,
    }
    model = GruVae(args)
    folder.mkdir(exist_ok=True)
    (folder / "args.json").write_text(json.dumps(args, indent=1) + "\n")
    for name in model.NETWORKS:
        torch.save(getattr(model, name).state_dict(), folder / f"{name}.pt")
    molecules = ["CC(=O)N", "c1cc[nH]c1", "BrCCBr", "C"]
    latents = dict(zip(molecules, model.latents(molecules).tolist()))
    folder.with_suffix(".json").write_text(json.dumps(latents, indent=1) + "\n")


with torch.no_grad():
    {"check": check, "write": write}[sys.argv[1]](Path(sys.argv[2]))
