"""Networks: their notation, their modules and their costs. Nothing here knows about training.

- `models.notation` reads a network written as one line, `[C5(S1P2)@64-MP2(S2)]-FC1024-FC10`.
- `models.zoo` names every network of the published studies.
- `models.cost` counts multiplications, parameters and bytes.

PyTorch is imported only when a network is built or measured, because names and lines must be read fast.
"""
