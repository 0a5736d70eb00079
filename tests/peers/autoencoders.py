"""PyTorch's side of training, encoding and sampling: `gru-vae`, `conv-vae` and `transformer-vae` in
their usual shapes on this machine's CPU.

    python3 -m venv venv && venv/bin/pip install torch
    venv/bin/python autoencoders.py molecules.smi --model gru --threads 2

Prints one JSON object a line: {"peer", "case", "batch", "molecules_per_s", "tokens_per_s"}. Tokens are
atoms, bonds and brackets, as in Atlas; a batch is padded to its longest molecule. Batches are
consecutive slices of the file shuffled with --seed, sorted by length; the first two do not count.
"""
import argparse, json, random, re, time
import torch
import torch.nn as nn
import torch.nn.functional as F

PAD, BOS, EOS = 0, 1, 2
TOKEN = re.compile(r"\[[^\]]*\]|Br|Cl|%\d\d|.")
LATENT, LONGEST = 128, 120


class GruReader(nn.Module):
    width = 256

    def __init__(self, vocabulary):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 64, PAD)
        self.gru = nn.GRU(64, self.width, 1, batch_first=True)

    def forward(self, molecules, padded, mask):
        packed = nn.utils.rnn.pack_sequence([self.embedding(m) for m in molecules])
        return self.gru(packed)[1][-1]


class ConvolutionReader(nn.Module):
    width = 436

    def __init__(self, vocabulary):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 32, PAD)
        sizes = ((32, 9, 9), (9, 9, 9), (9, 10, 11))
        self.convolutions = nn.ModuleList(nn.Conv1d(i, o, k, padding="same") for i, o, k in sizes)
        self.hidden = nn.Linear(10 * (LONGEST + 2), self.width)

    def forward(self, molecules, padded, mask):
        x = F.pad(self.embedding(padded), (0, 0, 0, LONGEST + 2 - padded.shape[1])).transpose(1, 2)
        for convolution in self.convolutions:
            x = convolution(x).tanh()
        return self.hidden(x.flatten(1)).tanh()


def transformer():
    layer = nn.TransformerEncoderLayer(
        256, 8, 1024, 0.0, lambda x: F.gelu(x, approximate="tanh"), batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, 4, nn.LayerNorm(256), False)


class TransformerReader(nn.Module):
    width = 256

    def __init__(self, vocabulary):
        super().__init__()
        self.embedding, self.layers = nn.Embedding(vocabulary, 256, PAD), transformer()
        self.positions = torch.randn(LONGEST + 2, 256)

    def forward(self, molecules, padded, mask):
        x = self.embedding(padded) + self.positions[:padded.shape[1]]
        x = self.layers(x, src_key_padding_mask=~mask) * mask[..., None]
        return x.sum(1) / mask.sum(1, keepdim=True)


class GruWriter(nn.Module):
    def __init__(self, vocabulary, hidden=512, layers=3):
        super().__init__()
        self.layers = layers
        self.embedding = nn.Embedding(vocabulary, 64, PAD)
        self.gru = nn.GRU(64 + LATENT, hidden, layers, batch_first=True)
        self.hidden, self.logits = nn.Linear(LATENT, hidden), nn.Linear(hidden, vocabulary)

    def forward(self, padded, z):
        inputs = torch.cat([self.embedding(padded), z[:, None].expand(-1, padded.shape[1], -1)], -1)
        return self.logits(self.gru(inputs, self.hidden(z).repeat(self.layers, 1, 1))[0])

    def sample(self, z, steps):
        h, w = self.hidden(z).repeat(self.layers, 1, 1), torch.full((len(z),), BOS)
        for _ in range(steps):
            o, h = self.gru(torch.cat([self.embedding(w), z], -1)[:, None], h)
            w = torch.multinomial(F.softmax(self.logits(o[:, 0]), -1), 1)[:, 0]


class TransformerWriter(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.embedding, self.layers = nn.Embedding(vocabulary, 256, PAD), transformer()
        self.latent, self.logits = nn.Linear(LATENT, 256), nn.Linear(256, vocabulary)
        self.positions = torch.randn(LONGEST + 2, 256)

    def forward(self, padded, z):
        steps = padded.shape[1]
        x = self.embedding(padded) + self.positions[:steps] + self.latent(z)[:, None]
        causal = nn.Transformer.generate_square_subsequent_mask(steps)
        # What follows a molecule is causally apart from it: no mask of padding is needed.
        return self.logits(self.layers(x, mask=causal, is_causal=True))


class Autoencoder(nn.Module):
    def __init__(self, reader, writer, vocabulary):
        super().__init__()
        self.reader, self.writer = reader(vocabulary), writer(vocabulary)
        width = self.reader.width
        self.mu, self.logvar = nn.Linear(width, LATENT), nn.Linear(width, LATENT)

    def encode(self, molecules):
        padded = nn.utils.rnn.pad_sequence(molecules, batch_first=True, padding_value=PAD)
        h = self.reader(molecules, padded, padded != PAD)
        return padded, self.mu(h), self.logvar(h)

    def forward(self, molecules):
        padded, mu, logvar = self.encode(molecules)
        z = mu + (logvar / 2).exp() * torch.randn_like(mu)
        kl = 0.5 * (logvar.exp() + mu**2 - 1 - logvar).sum(1).mean()
        logits = self.writer(padded[:, :-1], z)
        targets = padded[:, 1:]
        known = targets != PAD
        reconstruction = F.cross_entropy(logits[known], targets[known], reduction="sum")
        return reconstruction / len(molecules) + 0.01 * kl


MODELS = {"gru": (GruReader, GruWriter), "conv": (ConvolutionReader, GruWriter),
          "transformer": (TransformerReader, TransformerWriter)}


def main():
    a = argparse.ArgumentParser()
    a.add_argument("data"); a.add_argument("--model", choices=MODELS, default="gru")
    a.add_argument("--batch", type=int, default=128); a.add_argument("--steps", type=int, default=6)
    a.add_argument("--seed", type=int, default=0); a.add_argument("--threads", type=int, default=2)
    a = a.parse_args()
    torch.manual_seed(a.seed); torch.set_num_threads(a.threads)
    lines = [TOKEN.findall(line.split()[0]) for line in open(a.data) if line.strip()]
    lines = [line for line in lines if len(line) <= LONGEST]
    index = {t: i + 3 for i, t in enumerate(sorted({t for line in lines for t in line}))}
    random.Random(a.seed).shuffle(lines)

    def batch(i):
        rows = sorted(lines[i * a.batch:(i + 1) * a.batch], key=len, reverse=True)
        return [torch.tensor([BOS] + [index[t] for t in row] + [EOS]) for row in rows]

    def timed(case, steps, warm_up, act):
        tokens = 0
        for i in range(warm_up + steps):
            if i == warm_up:
                start = time.perf_counter()
            tokens += act(i) * (i >= warm_up)
        seconds = time.perf_counter() - start
        print(json.dumps({
            "peer": f"torch {torch.__version__}", "model": a.model, "case": case, "batch": a.batch,
            "molecules_per_s": round(steps * a.batch / seconds, 1),
            "tokens_per_s": round(tokens / seconds)}), flush=True)

    model = Autoencoder(*MODELS[a.model], len(index) + 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)

    def train(i):
        molecules = batch(i)
        optimizer.zero_grad(); model(molecules).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0); optimizer.step()
        return sum(map(len, molecules))

    def encode(i):
        molecules = batch(i)
        model.encode(molecules)
        return sum(map(len, molecules))

    def sample(_):
        model.writer.sample(torch.randn(a.batch, LATENT), 80)
        return a.batch * 80

    timed("train", a.steps, 2, train)
    model.eval()
    with torch.no_grad():
        timed("encode", 8, 1, encode)
        if hasattr(model.writer, "sample"):
            timed("sample, 80 steps", 1, 1, sample)


if __name__ == "__main__":
    main()
