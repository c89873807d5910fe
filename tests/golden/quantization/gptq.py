"""Writes gptq.json: a layer of 32 x 48 correlated inputs solved column by column in float64.

No Cholesky factor and no blocks here: each step is written as Optimal Brain Surgeon states it, with the inverse Hessian
of the columns that are left, which loses one row and column a step.

By hand: python tests/golden/quantization/gptq.py tests/golden/quantization/gptq.json   (numpy 2)
"""

import json
import sys

import numpy as np

ROWS, COLUMNS, TOKENS = 32, 48, 96
WEIGHT_UNIT, INPUT_UNIT = 1 / 4096, 1 / 16  # products of inputs and their sums are then exact in float32


def make_layer(seed):
    rng = np.random.default_rng(seed)
    weight = np.round(rng.standard_t(5, (ROWS, COLUMNS)) * 200).clip(-4000, 4000)
    mix = rng.standard_normal((COLUMNS, COLUMNS)) * 0.35 + np.eye(COLUMNS)
    spread = np.exp(rng.uniform(-1, 1, COLUMNS))
    inputs = np.round(rng.standard_normal((TOKENS, COLUMNS)) @ mix * spread * 6).clip(-120, 120)
    return weight, inputs


def parameters(part, case):
    """Scale and zero of each row, the scale rounded to its storage type first."""
    top = 2 ** case["bits"] - 1
    low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
    if case["symmetry"] == "sym_offset":
        high = np.maximum(-low, high)
        low = -high
    empty = (low == 0) & (high == 0)
    low, high = np.where(empty, -1, low), np.where(empty, 1, high)
    kind = np.float16 if case["scale"] == "float16" else np.float32
    scale = ((high - low) / top).astype(kind).astype(np.float64)
    zero = np.round(-low / scale).clip(0, top) if case["symmetry"] == "asymmetric" else np.full(len(part), (top + 1) / 2)
    return scale, zero


def column_order(diagonal, group, case):
    columns = np.arange(len(diagonal))
    if case.get("act_order"):
        return np.argsort(-diagonal, kind="stable")
    if case.get("act_group_aware"):
        parts = [columns[i : i + group] for i in range(0, len(columns), group)]
        parts = [part[np.argsort(-diagonal[part], kind="stable")] for part in parts]
        return np.concatenate(sorted(parts, key=lambda part: -diagonal[part[0]]))
    return columns


def solve(weight, hessian, case):
    n = len(hessian)
    group = case["group"] if case["group"] > 0 else n
    top = 2 ** case["bits"] - 1
    reference = case.get("ref_compat", False)
    diagonal = np.diag(hessian).copy()
    dead = diagonal == 0
    damped = hessian.copy()
    damped[dead, dead] = 1
    mean = np.diag(damped).mean() if reference else diagonal[~dead].mean()
    damped += np.eye(n) * case["damping"] * mean
    weight = weight.copy()
    if reference:
        weight[:, dead] = 0
        diagonal[dead] = 1
    order = column_order(diagonal, group, case)
    dynamic_order = case.get("act_order") and not case.get("static_groups")
    group_of = {c: (p if dynamic_order else c) // group for p, c in enumerate(order)}
    members = {g: [c for c in order if group_of[c] == g] for g in set(group_of.values())}
    scales, zeros = np.zeros((ROWS, len(members))), np.zeros((ROWS, len(members)))
    fixed = case.get("static_groups") or case["group"] <= 0
    if fixed:
        for g, columns in members.items():
            scales[:, g], zeros[:, g] = parameters(weight[:, columns], case)
    codes = np.zeros(weight.shape, int)
    inverse = np.linalg.inv(damped)
    left = list(order)
    seen, snapshot = set(), None
    for position, c in enumerate(order):
        if position % case.get("block_size", 128) == 0:
            snapshot = weight.copy()
        g = group_of[c]
        if not fixed and g not in seen:
            seen.add(g)
            scales[:, g], zeros[:, g] = parameters((snapshot if reference else weight)[:, members[g]], case)
        codes[:, c] = (np.round(weight[:, c] / scales[:, g]) + zeros[:, g]).clip(0, top)
        error = weight[:, c] - scales[:, g] * (codes[:, c] - zeros[:, g])
        left.remove(c)
        weight[:, left] -= np.outer(error / inverse[c, c], inverse[c, left])
        inverse -= np.outer(inverse[:, c], inverse[c]) / inverse[c, c]
    return codes, scales, zeros, [int(group_of[c]) for c in range(n)]


CASES = {
    "groups": {"group": 16},
    "one group a row": {"group": -1, "bits": 3},
    "ragged groups": {"group": 20},
    "act_order": {"group": 16, "act_order": True},
    "act_order, ragged": {"group": 20, "act_order": True, "bits": 3},
    "act_order, a row": {"group": -1, "act_order": True},
    "act_order, static": {"group": 16, "act_order": True, "static_groups": True},
    "static": {"group": 16, "static_groups": True, "bits": 2},
    "act_group_aware": {"group": 16, "act_group_aware": True},
    "act_group_aware, ragged": {"group": 20, "act_group_aware": True, "bits": 3},
    "symmetric": {"group": 16, "symmetry": "sym_offset"},
    "float32 scales": {"group": 12, "scale": "float32"},
    "strong damping": {"group": 16, "damping": 0.5},
    "reference": {"group": 16, "ref_compat": True, "block_size": 24},
    "reference, dead": {"group": 16, "ref_compat": True, "dead": [3, 17, 18, 40]},
    "dead": {"group": 16, "dead": [3, 17, 18, 40]},
    "dead, act_order": {"group": 16, "act_order": True, "dead": [3, 17, 18, 40]},
}


def main(path):
    weight, inputs = make_layer(5)
    cases = []
    for name, options in CASES.items():
        case = {"name": name, "bits": 4, "symmetry": "asymmetric", "scale": "float16", "damping": 0.01} | options
        live = inputs.copy()
        live[:, case.get("dead", [])] = 0
        x = live * INPUT_UNIT
        codes, scales, zeros, groups = solve(weight * WEIGHT_UNIT, 2 / TOKENS * x.T @ x, case)
        case["codes"] = ["".join(f"{code:x}" for code in row) for row in codes]
        case["scales"] = [float(f"{s:.9g}") for s in scales.flatten()]
        case["zeros"] = [int(z) for z in zeros.flatten()]
        case["groups"] = groups
        cases.append(case)
    layer = {
        "weight_unit": WEIGHT_UNIT,
        "input_unit": INPUT_UNIT,
        "weight": weight.astype(int).tolist(),
        "inputs": inputs.astype(int).tolist(),
        "cases": cases,
    }
    with open(path, "w") as file:
        file.write(json.dumps(layer, separators=(",", ":")).replace("],[", "],\n[").replace('},{"', '},\n{"') + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
