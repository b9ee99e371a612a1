"""F10 of others: a file of `torch.save` with one wrong bit, given to `torch.load`.

Usage: FOLDER TRIES, prints one JSON line. Survived is an error, or the right tensors all the same (a bit that nobody
reads); lost is other tensors without a word.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import torch

ELEMENTS = 500


def main(folder: str, tries: int) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    file, draw = Path(folder, "model.pt"), random.Random(0)
    tensors = {name: torch.arange(ELEMENTS, dtype=torch.float32) for name in ("a", "b")}
    torch.save(tensors, file)
    good = file.read_bytes()
    report = {"tries": tries, "survived": 0, "lost": 0, "found": 0}
    for _ in range(tries):
        damaged = bytearray(good)
        damaged[draw.randrange(len(good))] ^= 1 << draw.randrange(8)
        file.write_bytes(damaged)
        try:
            loaded = torch.load(file, weights_only=True)
            same = loaded.keys() == tensors.keys() and all(torch.equal(loaded[name], tensors[name]) for name in tensors)
            report["survived" if same else "lost"] += 1
        except Exception:
            report["survived"] += 1
            report["found"] += 1
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
