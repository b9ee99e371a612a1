"""Which drives there are, what was trained on them, and which model is promoted: small objects in the store.

Layout: `registry/files/<drive>/…` (raw files), `registry/drives/<drive>/_READY.json` (written last: the drive exists),
`registry/plans/<id>.json` (a set of drives and how to train on it), `records/decisions/<plan>.json` (what the gate
said), `records/promotions/<id>.json`; `refs/watermark`, `refs/promoted` and `refs/claims/<plan>` move by
compare-and-swap.
"""
