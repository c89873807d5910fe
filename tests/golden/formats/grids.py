"""Writes grids.json: what compressed-tensors' own quantization and GPTQ's parameter search make of small matrices.

By hand: python tests/golden/formats/grids.py tests/golden/formats/grids.json   (torch 2.11, compressed-tensors 0.20)
"""

import json
import sys

import torch
from compressed_tensors.quantization import QuantizationArgs, QuantizationStrategy
from compressed_tensors.quantization.lifecycle.forward import dequantize, quantize
from compressed_tensors.quantization.utils import calculate_qparams
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32


def numbers(tensor):
    return [float(x) for x in tensor.flatten().tolist()]


def compressed_tensors_case(weight, bits, group, symmetric, half):
    args = QuantizationArgs(num_bits=bits, symmetric=symmetric, group_size=group, strategy=QuantizationStrategy.GROUP)
    parts = weight.unflatten(-1, (-1, group))
    scale, zero = calculate_qparams(parts.amin(-1), parts.amax(-1), args)
    if half:
        scale = scale.half().float()
        if not symmetric:  # the zero follows the rounded scale
            low = torch.clamp(parts.amin(-1), max=0)
            zero = torch.clamp(torch.round(-(2 ** (bits - 1)) - low / scale), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    zero = zero.to(torch.int8)
    codes = quantize(weight, scale, zero, args, dtype=torch.int8)
    return {
        "bits": bits,
        "group": group,
        "symmetric": symmetric,
        "float16_scales": half,
        "scales": numbers(scale),
        "zeros": [z + 2 ** (bits - 1) for z in zero.flatten().tolist()],
        "codes": [c + 2 ** (bits - 1) for c in codes.flatten().tolist()],
        "dequantized": numbers(dequantize(codes, scale, zero, args)),
        "packed": [p & 0xFFFFFFFF for p in pack_to_int32(codes, bits).flatten().tolist()],
        "packed_zeros": [p & 0xFFFFFFFF for p in pack_to_int32(zero, bits, packed_dim=0).flatten().tolist()],
    }


def gptq_search(rows, bits, symmetric, mse):
    """Scale and zero of each row by the GPTQ authors' rule: range around 0, then 80 shrunken ranges under |e|^2.4."""
    top = 2**bits - 1
    low = torch.minimum(rows.min(1).values, torch.zeros(len(rows)))
    high = torch.maximum(rows.max(1).values, torch.zeros(len(rows)))
    if symmetric:
        high = torch.maximum(low.abs(), high)
        low = torch.where(low < 0, -high, low)
    empty = (low == 0) & (high == 0)
    low[empty], high[empty] = -1, 1
    middle = torch.full_like(low, (top + 1) / 2)
    scale = (high - low) / top
    zero = middle if symmetric else torch.round(-low / scale)
    if not mse:
        return scale, zero
    scale, zero = scale.clone(), zero.clone()
    best = torch.full([len(rows)], float("inf"))
    for i in range(80):
        p = 1 - i / 100
        s = (p * high - p * low) / top
        z = middle if symmetric else torch.round(-(p * low) / s)
        q = s[:, None] * (torch.clamp(torch.round(rows / s[:, None]) + z[:, None], 0, top) - z[:, None])
        error = (q - rows).abs().pow(2.4).sum(1)
        better = error < best
        best[better], scale[better], zero[better] = error[better], s[better], z[better]
    return scale, zero


def main(path):
    torch.manual_seed(11)
    weight = torch.randn(6, 24) * torch.tensor([1.0, 0.02, 30.0, 1e-4, 0.5, 2.0])[:, None]
    weight[4] = weight[4].abs()  # no negative number in the row
    weight[5, :8] = 0.0
    weight[1, 3] = 1.5  # an outlier
    plain = [0, 1, 2, 3, 5]  # rows on which the authors' symmetric rule mirrors the range
    cases = [
        compressed_tensors_case(weight, bits, group, symmetric, half)
        for bits in (2, 3, 4, 8)
        for group in (8, 24)
        for symmetric in (True, False)
        for half in (False, True)
        if group == 24 or not half
    ]
    searches = []
    for bits in (2, 3, 4, 8):
        for symmetric in (True, False):
            for mse in (True, False):
                rows = plain if symmetric else list(range(6))
                scale, zero = gptq_search(weight[rows], bits, symmetric, mse)
                searches.append({"bits": bits, "symmetric": symmetric, "mse": mse, "rows": rows,
                                 "scales": numbers(scale), "zeros": numbers(zero)})
    out = {"rows": 6, "columns": 24, "weight": numbers(weight), "compressed_tensors": cases, "gptq": searches}
    with open(path, "w") as file:
        json.dump(out, file, separators=(",", ":"))
        file.write("\n")


main(sys.argv[1])
