"""Packs the fragment scores of RDKit's SA_Score/fpscores.pkl.gz (of a trusted RDKit: it is a pickle)
into fragment_scores.bin, for synthetic_accessibility.rs:

    python fragment_scores.py fpscores.pkl.gz fragment_scores.bin

One run of numbers in LEB128 for each distinct score: minus the score in units of 1e-4 (zigzag), the
number of fragments that have it, and their identifiers in ascending order, each less the one before.
"""

import gzip
import pickle
import sys


def leb128(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return out


groups = {}
for score, *fragments in pickle.load(gzip.open(sys.argv[1])):
    tenths = round(-score * 10_000)
    assert tenths / -10_000 == score
    groups.setdefault(tenths, []).extend(fragments)

packed = bytearray()
for tenths, fragments in sorted(groups.items()):
    packed += leb128(2 * tenths if tenths >= 0 else -2 * tenths - 1)
    packed += leb128(len(fragments))
    before = 0
    for fragment in sorted(fragments):
        packed += leb128(fragment - before)
        before = fragment
open(sys.argv[2], "wb").write(packed)
