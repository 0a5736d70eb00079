"""Writes the files beside it: what PyTorch saves, and the same with one thing changed.

    python3 -m venv venv && venv/bin/pip install torch numpy && venv/bin/python write_fixtures.py

They were written by PyTorch 2.15.
"""
import io
import os
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch

HERE = Path(__file__).parent
DTYPES = ["uint8", "uint32", "int16", "int32", "int64", "bfloat16", "float16", "float32", "float64"]


def ramp(count, dtype):
    return torch.tensor([i - 1 if dtype != torch.uint8 and dtype != torch.uint32 else i for i in range(count)], dtype=dtype)


def every_kind():
    """A tensor of each dtype, [2, 3], and one of each way to lie in a storage."""
    tensors = OrderedDict()
    for name in DTYPES:
        tensors[name] = ramp(6, getattr(torch, name)).reshape(2, 3)
    base = torch.arange(12, dtype=torch.float32)
    tensors["shared.first"] = base[:8]
    tensors["shared.second"] = base[4:]
    tensors["transposed"] = base[:6].reshape(2, 3).t()
    tensors["strided"] = base.reshape(3, 4)[1:, ::2]
    tensors["expanded"] = torch.tensor([5.0, 6.0]).expand(3, 2)
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(0, 3)
    tensors["empty.strided"] = torch.zeros(4, 0)[::2].t()
    tensors["parameter"] = torch.nn.Parameter(torch.tensor([1.0, -1.0]))
    tensors["tied"] = tensors["parameter"]
    return tensors


def widened(legacy=False):
    """The dtypes that become another, with their extremes; transposed, as no copy of bytes does."""
    tensors = OrderedDict()
    tensors["bool"] = torch.tensor([[True, False, True], [False, False, True]])
    tensors["int8"] = torch.tensor([[-128, 127, -1], [0, 1, 2]], dtype=torch.int8).t()
    # PyTorch has no class of storages for it.
    if not legacy:
        tensors["uint16"] = torch.tensor([[65535, 0, 1], [32768, 2, 3]], dtype=torch.uint16)
    return tensors


def save(name, value, **options):
    # A name of its own, so that the archive's folder does not depend on the file's.
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    (HERE / f"{name}.pt").write_bytes(buffer.getvalue())


def changed(name, change, compression=zipfile.ZIP_STORED, source="linear"):
    """The members of a file, as `change` leaves them, in a new archive."""
    with zipfile.ZipFile(HERE / f"{source}.pt") as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    members = change(members)
    with zipfile.ZipFile(HERE / f"{name}.pt", "w", compression) as archive:
        for member, content in members:
            archive.writestr(zipfile.ZipInfo(member), content, compression)


def replaced(suffix, edit):
    return lambda members: [
        (name, edit(content) if name.endswith(suffix) else content) for name, content in members
    ]


class Code:
    def __reduce__(self):
        return os.system, ("true",)


torch.manual_seed(7)
linear = torch.nn.Linear(2, 3)
with torch.no_grad():
    linear.weight.copy_(torch.arange(6.0).reshape(3, 2))
    linear.bias.copy_(torch.tensor([0.5, -0.5, 0.25]))
state = linear.state_dict()
save("linear", state)
save("linear-legacy", state, _use_new_zipfile_serialization=False)
save("every-kind", every_kind())
save("every-kind-legacy", every_kind(), _use_new_zipfile_serialization=False)
save("dict", dict(state))
save("f64", linear.double().state_dict())

save("code", {"weight": Code()})
save("module", linear)
save("checkpoint", {"state_dict": state, "epoch": 3})
save("extra-state", {**state, "_extra_state": {"epoch": 3}})
save("other-key", {**state, 3: state["bias"]})
save("no-dictionary", state["weight"])
save("negative", {**state, "bias": torch.tensor([1 + 2j, 3 + 4j, 5j]).conj().imag})
save("sparse", {**state, "weight": torch.eye(2).to_sparse()})
save("unsupported", {
    name: torch.zeros(2, dtype=getattr(torch, name))
    for name in ["complex32", "complex64", "complex128", "uint64", "float8_e4m3fn"]
})
save("unsupported-legacy", {"complex64": torch.zeros(2, dtype=torch.complex64), **state},
     _use_new_zipfile_serialization=False)
# `num_batches_tracked` is an integer that no layer here has.
save("batch-norm", torch.nn.BatchNorm1d(3).state_dict())
save("widened", widened())
save("widened-legacy", widened(legacy=True), _use_new_zipfile_serialization=False)
changed("truth", replaced("data/0", lambda content: b"\2" + content[1:]), source="widened")
save("repeats", {"weight": torch.zeros(1).expand(1 << 20, 1 << 20)})
traced = io.BytesIO()
torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.ones(1, 1)), traced)
(HERE / "script.pt").write_bytes(traced.getvalue())

changed("compressed", lambda members: members, zipfile.ZIP_DEFLATED)
changed("big-endian", replaced("byteorder", lambda _: b"big"))
changed("newer", replaced("/version", lambda _: b"11\n"))
changed("short-storage", replaced("data/0", lambda content: content[:-4]))
changed("long-storage", replaced("data/0", lambda content: content + b"\0\0\0\0"))
changed("no-storage", lambda members: [m for m in members if not m[0].endswith("data/1")])
changed("unused-storage", lambda members: [*members, ("archive/data/9", b"1234")])
changed("unknown-member", lambda members: [*members, ("archive/readme", b"1234")])
changed("two-folders", lambda members: [*members, ("other/data/0", b"1234")])
changed("repeated-member", lambda members: [*members, members[-1]])
changed("no-pickle", lambda members: [m for m in members if not m[0].endswith("data.pkl")])
changed("cut-pickle", replaced("data.pkl", lambda content: content[: len(content) // 2]))
# The shape (3, 2) is the one place with these two numbers in a row.
changed("beyond", replaced("data.pkl", lambda content: content.replace(b"K\x03K\x02", b"K\x04K\x02", 1)))
changed("twice", replaced("data.pkl", lambda content: content.replace(b"\x04\x00\x00\x00bias", b"\x06\x00\x00\x00weight")))
changed("deep", replaced("data.pkl", lambda _: b"\x80\x02)" + b"\x85" * 100_000 + b"."))
