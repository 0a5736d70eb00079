"""Writes more files beside it: the ways in which people have saved the same tensors.

    python3 -m venv venv && venv/bin/pip install torch numpy && venv/bin/python write_variants.py

They were written by PyTorch 2.15 and Python 3.11. Those of Python 2 and of older versions of PyTorch
no program of today writes: `Python2` makes the pickles of those by hand.
"""
import argparse
import io
import pickle
import struct
import sys
import types
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy
import torch

HERE = Path(__file__).parent
# The linear layer of `write_fixtures.py`.
state = torch.load(HERE / "linear.pt")


def save(name, value, **options):
    # A name of its own, so that the archive's folder does not depend on the file's.
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    (HERE / f"{name}.pt").write_bytes(buffer.getvalue())


class Python2(pickle._Pickler):
    """Pickles as Python 2 and PyTorch 0.3 did: texts are bytes, an `OrderedDict` is called with a
    list of pairs, tensors are rebuilt by `_rebuild_tensor`; long integers have an opcode of old."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_str(self, text):
        data = text.encode("latin-1")
        if self.proto:
            head = b"U" + bytes([len(data)]) if len(data) < 256 else b"T" + struct.pack("<i", len(data))
            self.write(head + data)
        else:
            self.write(b"S" + repr(text).encode() + b"\n")
        self.memoize(text)

    dispatch[str] = save_str

    def __init__(self, file, protocol):
        super().__init__(file, protocol)
        self.storages = {}

    def reducer_override(self, value):
        if isinstance(value, OrderedDict):
            return OrderedDict, ([list(item) for item in value.items()],)
        if isinstance(value, torch.Tensor):
            place = value.storage_offset(), torch.Size(value.shape), value.stride()
            return torch._utils._rebuild_tensor, (value.storage(), *place)
        return NotImplemented

    def persistent_id(self, value):
        if isinstance(value, torch.TypedStorage):
            key = str(94_000_000 + len(self.storages))
            key = next((k for k, s in self.storages.items() if s.data_ptr() == value.data_ptr()), key)
            self.storages[key] = value
            return "storage", torch.FloatStorage, key, "cuda:0", value.size(), None
        return None


def python_2(name, value, protocol=2):
    """The layout before PyTorch 1.6."""
    file = io.BytesIO()
    sizes = {"int": 4, "long": 4, "short": 2}
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
    for head in [0x1950A86A20F9469CFC6C, 1001, machine]:
        Python2(file, protocol).dump(head)
    pickler = Python2(file, protocol)
    pickler.dump(value)
    Python2(file, protocol).dump(sorted(pickler.storages))
    for _, storage in sorted(pickler.storages.items()):
        file.write(struct.pack("<q", storage.size()))
        file.write(bytes(storage.untyped()))
    (HERE / f"{name}.pt").write_bytes(file.getvalue())


class Call:
    """Pickled as a call, and attributes that are set on what it returns."""

    def __init__(self, function, *arguments, attributes=None):
        self.reduced = (function, arguments) if attributes is None else (function, arguments, attributes)

    def __reduce__(self):
        return self.reduced


weight, bias = state["weight"], state["bias"]

# Archives.
torch.serialization.set_crc32_options(False)
save("no-checksums", state)
torch.serialization.set_crc32_options(True)
whole = (HERE / "linear.pt").read_bytes()
with zipfile.ZipFile(HERE / "linear.pt") as archive:
    checksum = struct.pack("<I", zlib.crc32(archive.read("archive/data/0")))
(HERE / "one-checksum-less.pt").write_bytes(whole.replace(checksum, bytes(4)))

# Pickles.
for protocol in range(1, 6):
    save(f"protocol-{protocol}", state, pickle_protocol=protocol)
    save(f"protocol-{protocol}-legacy", state, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
save("protocol-0", state, pickle_protocol=0)
python_2("python-2", state)
python_2("python-2-protocol-1", state, protocol=1)
python_2("python-2-checkpoint", {
    "arch": "r\xe9seau", "epoch": 1 << 70, "best": 0.5, "state_dict": state,
    "optimizer": {"state": {94_000: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
})

# Ways to be a tensor.
attributed = torch.nn.Parameter(bias.clone())
attributed.origin = "bias"
save("parameter-with-state", {"weight": torch.nn.Parameter(weight), "bias": attributed})
tensor = bias.clone()
tensor.origin = "bias"
save("tensor-with-attributes", {"weight": weight, "bias": tensor})
# The `Variable` of PyTorch 0.3, with `requires_grad`, `volatile` and its hooks.
torch.autograd.variable.Variable.__module__ = "torch.autograd.variable"
variable = Call(torch.autograd.variable.Variable, weight, attributes=(True, False, OrderedDict()))
save("variable", {"weight": variable, "bias": Call(torch.nn.Parameter, bias, False)})

# Checkpoints.
torch.manual_seed(7)
module = torch.nn.Linear(2, 3)
optimizer = torch.optim.Adam(module.parameters(), amsgrad=True)
module(torch.ones(1, 2)).sum().backward()
optimizer.step()
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
everything = {
    "epoch": 3, "loss": 0.5, "best": numpy.float64(0.5), "name": "\u00e9", "done": False, "none": None,
    "args": argparse.Namespace(lr=0.1, layers=[1, 2]), "kinds": {"a"}, "raw": b"\0\1",
    "shape": torch.Size([2]), "device": torch.device("cpu"), "dtype": torch.float32,
    "history": numpy.arange(3), "state_dict": state, "optimizer": optimizer.state_dict(),
    "scheduler": scheduler.state_dict(), "rng_state": torch.arange(16, dtype=torch.uint8),
}
save("training", everything)
save("training-protocol-4", everything, pickle_protocol=4)
save("training-legacy", everything, _use_new_zipfile_serialization=False)
for key in ["model_state_dict", "model", "module", "net", "weights", "ema"]:
    save(f"under-{key}", {key: dict(state), "epoch": 3})
averaged = {name: tensor + 1 for name, tensor in state.items()}
save("two-models", {"model": state, "ema": averaged, "epoch": 3})
save("other-dictionary", {"mine": state, "epoch": 3})

# Prefixes.
for name, prefix in [("parallel", "module."), ("compiled", "_orig_mod."), ("compiled-parallel", "_orig_mod.module."),
                     ("parallel-compiled", "module._orig_mod.")]:
    save(name, {prefix + key: tensor for key, tensor in state.items()})
save("compiled-part", {"layers.0._orig_mod.weight": weight, "layers.1.bias": bias})
save("parallel-part", {"module.weight": weight, "bias": bias})
save("compiled-twice", {"_orig_mod.weight": weight, "weight": weight, "bias": bias})

# What is refused: code, and tensors of other kinds.
mymodel = types.ModuleType("mymodel")
sys.modules["mymodel"] = mymodel
Net = type("Net", (torch.nn.Module,), {"__module__": "mymodel"})
mymodel.Net = Net
net = Net()
net.layer = torch.nn.Linear(1, 1)
save("whole-module", net)
save("whole-module-protocol-4", net, pickle_protocol=4)
save("whole-module-legacy", net, _use_new_zipfile_serialization=False)
save("module-in-checkpoint", {"args": argparse.Namespace(), "model": net, "epoch": 3})
save("quantised", {**state, "weight": torch.quantize_per_tensor(weight, 1.0, 0, torch.qint8)})
save("meta", {**state, "weight": weight.to("meta")})
save("array", {**state, "weight": weight.numpy()})
# As of a device such as that of XLA.
device = Call(torch._utils._rebuild_device_tensor_from_cpu_tensor, weight, torch.float32, "xla:0", False)
save("other-device", {**state, "weight": device})
# The two members by which a program of `torch.export` is told, whose others are far larger.
with zipfile.ZipFile(HERE / "exported.pt", "w") as archive:
    for member, content in [("archive/archive_format", "pt2"), ("archive/models/model.json", "{}")]:
        archive.writestr(zipfile.ZipInfo(member), content)
