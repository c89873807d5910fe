"""Writes number_formats.json: tables, roundings and quantized matrices of other implementations.

By hand: python tests/golden/formats/number_formats.py tests/golden/formats/number_formats.json
(numpy 2.4, ml_dtypes 0.6, torch 2.15, bitsandbytes 0.50, compressed-tensors 0.20)
"""

import json
import sys

import bitsandbytes.functional as bnb
import ml_dtypes
import numpy as np
import torch
from compressed_tensors.quantization import QuantizationArgs, QuantizationStrategy, QuantizationType
from compressed_tensors.quantization.lifecycle.forward import dequantize, quantize
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

TYPES = {
    "e2m1": (ml_dtypes.float4_e2m1fn, 4),
    "e2m3": (ml_dtypes.float6_e2m3fn, 6),
    "e3m2": (ml_dtypes.float6_e3m2fn, 6),
    "e4m3": (ml_dtypes.float8_e4m3fn, 8),
    "e5m2": (ml_dtypes.float8_e5m2, 8),
}


def numbers(values):
    return [float(x) for x in np.asarray(values, dtype=np.float64).flatten()]


def float_type(name):
    dtype, bits = TYPES[name]
    table = np.arange(2**bits, dtype=np.uint8).view(dtype).astype(np.float32)
    finite = np.unique(table[np.isfinite(table)])
    rng = np.random.default_rng(3)
    largest = finite[-1]
    # Ties between neighbours, their next floats on both sides, subnormals, random values; none above the largest, where
    # casts overflow and a quantizer saturates.
    ties = ((finite[1:].astype(np.float64) + finite[:-1]) / 2).astype(np.float32)
    values = np.concatenate([ties, np.nextafter(ties, np.float32(np.inf)), np.nextafter(ties, np.float32(-np.inf)),
                             rng.normal(size=100).astype(np.float32) * largest / 4,
                             (rng.random(60).astype(np.float32) - 0.5) * 4 * finite[finite > 0][0]])
    values = np.clip(values, -largest, largest).astype(np.float32)
    rounded = values.astype(dtype).astype(np.float32)
    return {
        "name": name,
        "table": [None if not np.isfinite(x) else float(x) for x in table],
        "values": numbers(values),
        "rounded": numbers(rounded),
    }


def four_bit(name, weight):
    """bitsandbytes: blocks of 64 weights, float32 absmax."""
    packed, state = bnb.quantize_4bit(weight.contiguous(), blocksize=64, quant_type=name, compress_statistics=False)
    return {
        "name": name,
        "table": numbers(bnb.get_4bit_type(name, device="cpu")),
        "absmax": numbers(state.absmax),
        "dequantized": numbers(bnb.dequantize_4bit(packed, state)),
    }


def compressed(name, weight, group, **args):
    arguments = QuantizationArgs(num_bits=4, type=QuantizationType.FLOAT, symmetric=True, group_size=group, **args)
    parts = weight.unflatten(-1, (-1, group))
    low, high = parts.amin(-1), parts.amax(-1)
    tensor_scale = None
    if name == "nvfp4":
        tensor_scale = generate_gparam(weight.min(), weight.max())
    scale, zero = calculate_qparams(low, high, arguments, global_scale=tensor_scale)
    codes = quantize(weight, scale, zero, arguments, global_scale=tensor_scale)
    return {
        "name": name,
        "tensor_scale": None if tensor_scale is None else float(tensor_scale),
        "scales": numbers(scale.float()),
        "dequantized": numbers(dequantize(codes, scale, zero, arguments, global_scale=tensor_scale).float()),
    }


def main(path):
    torch.manual_seed(7)
    weight = torch.randn(4, 64) * torch.tensor([1.0, 0.02, 30.0, 0.5])[:, None]
    out = {
        "rows": 4,
        "columns": 64,
        "weight": numbers(weight),
        "types": [float_type(name) for name in TYPES],
        "bitsandbytes": [four_bit(name, weight) for name in ("nf4", "fp4")],
        "compressed_tensors": [
            compressed("mxfp4", weight, 32, strategy=QuantizationStrategy.GROUP, scale_dtype=torch.uint8),
            compressed("nvfp4", weight, 16, strategy=QuantizationStrategy.TENSOR_GROUP, scale_dtype=torch.float8_e4m3fn),
        ],
    }
    with open(path, "w") as file:
        json.dump(out, file, separators=(",", ":"))
        file.write("\n")


main(sys.argv[1])
