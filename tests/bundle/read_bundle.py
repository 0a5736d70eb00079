"""Reads an Atlas bundle, written from FORMAT.md alone: `python read_bundle.py FOLDER`.

Needs numpy; checks digests if the blake3 package is installed. Prints what it read as JSON."""
import json
import pathlib
import struct
import sys

import numpy
try:
    from blake3 import blake3
except ImportError:
    blake3 = None

# In the order of the tensors in a file. numpy has no bfloat16: the upper half of a float32.
DTYPES = dict(I64="<i8", F64="<f8", F32="<f4", U32="<u4", I32="<i4", BF16="<u2", F16="<f2", I16="<i2", U8="u1")


def check(what, data, digest):
    if blake3 and blake3(data).hexdigest() != digest:
        sys.exit(f"{what} is not as it was saved")


def read_tensors(folder, entry):
    data = (folder / f"{entry['name']}.safetensors").read_bytes()
    check(entry["name"], data, entry["blake3"])
    order = sorted(entry["tensors"], key=lambda t: (list(DTYPES).index(t["dtype"]), t["name"].encode()))
    header, arrays, end = {}, {}, 0
    for tensor in order:
        begin, count = end, int(numpy.prod(tensor["shape"], dtype=object))
        end += count * numpy.dtype(DTYPES[tensor["dtype"]]).itemsize
        header[tensor["name"]] = {"dtype": tensor["dtype"], "shape": tensor["shape"], "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    start = 8 + len(text)
    if data[:start] != struct.pack("<Q", len(text)) + text or len(data) != start + end or len(data) != entry["bytes"]:
        sys.exit(f"{entry['name']} does not hold the tensors that atlas.json lists")
    for name, tensor in header.items():
        begin, end = (start + offset for offset in tensor["data_offsets"])
        array = numpy.frombuffer(data[begin:end], DTYPES[tensor["dtype"]])
        array = (array.astype("<u4") << 16).view("<f4") if tensor["dtype"] == "BF16" else array
        arrays[name] = array.reshape(tensor["shape"])
    return arrays


def read_bundle(folder):
    data = (folder := pathlib.Path(folder)).joinpath("atlas.json").read_bytes()
    head, _, _ = data.partition(b'  "checksum": ')
    manifest = json.loads(data)
    content = data.split(b'\n  "content": ')[1].split(b',\n  "digest": ')[0]
    check("atlas.json", head, manifest["checksum"])
    check("atlas.json", content, manifest["digest"])
    return manifest, {entry["name"]: read_tensors(folder, entry) for entry in manifest["content"]["networks"]}


if __name__ == "__main__":
    manifest, networks = read_bundle(sys.argv[1])
    sums = {f"{net}/{name}": float(array.astype("f8").sum()) for net in networks for name, array in networks[net].items()}
    print(json.dumps(dict(manifest["content"], digest=manifest["digest"], checked=blake3 is not None, sums=sums)))
