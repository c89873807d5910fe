"""Writes kivi.json: keys and values rounded by the authors' program, and attention over the cache as it keeps it.

Rounding is done by `quant/new_pack.py` of github.com/jy-yuan/KIVI (commit 876b4d2) in float32. The cache is led as its
`models/llama_kivi.py` does for LlamaAttention_KIVI: the prompt attends in float; of its keys all but the last
`tokens % R` are rounded, of its values all but the last R; in decoding, keys are rounded when R have gathered, behind
the scores of the last of them, and the oldest value when R + 1 have. Attention itself is in float64.

By hand: python tests/golden/quantization/kivi.py <checkout of KIVI> tests/golden/quantization/kivi.json   (torch 2)
"""

import json
import math
import pathlib
import sys
import types

import torch

HEADS, KV_HEADS, TOKENS, PROMPT, CHANNELS = 4, 2, 44, 19, 16
GROUP, RESIDUAL, UNIT = 8, 16, 1 / 256


class Anything(types.ModuleType):
    def __getattr__(self, name):
        return Anything(name) if name != "jit" else (lambda function: function)


def load_rounding(checkout):
    """The module's plain functions; its GPU kernels are left out."""
    for name in ("triton", "triton.language"):
        sys.modules[name] = Anything(name)
    module = types.ModuleType("new_pack")
    exec(compile((pathlib.Path(checkout) / "quant/new_pack.py").read_text(), "new_pack.py", "exec"), module.__dict__)
    return module


def round_keys(lib, keys, bits):
    return lib.unpack_and_dequant_kcache(*lib.quant_and_pack_kcache(keys, GROUP, bits), GROUP, bits).float()


def round_values(lib, values, bits):
    return lib.unpack_and_dequant_vcache(*lib.quant_and_pack_vcache(values, GROUP, bits), GROUP, bits).float()


def attend(query, keys, values):
    repeats = HEADS // KV_HEADS
    keys, values = (x.double().repeat_interleave(repeats, 1) for x in (keys, values))
    scores = query.double() @ keys.transpose(2, 3) / math.sqrt(CHANNELS)
    return scores.softmax(-1) @ values


def decode(lib, q, k, v, bits):
    """Outputs of the tokens behind the prompt."""
    rounded = PROMPT - PROMPT % RESIDUAL
    key_past, key_full = round_keys(lib, k[:, :, :rounded].contiguous(), bits), k[:, :, rounded:PROMPT]
    value_past = round_values(lib, v[:, :, : PROMPT - RESIDUAL].contiguous(), bits)
    value_full = v[:, :, PROMPT - RESIDUAL : PROMPT]
    outputs = []
    for t in range(PROMPT, TOKENS):
        key_full = torch.cat([key_full, k[:, :, t : t + 1]], 2)
        keys = torch.cat([key_past, key_full], 2)
        if key_full.shape[2] == RESIDUAL:
            key_past = torch.cat([key_past, round_keys(lib, key_full.contiguous(), bits)], 2)
            key_full = key_full[:, :, :0]
        value_full = torch.cat([value_full, v[:, :, t : t + 1]], 2)
        outputs.append(attend(q[:, :, t : t + 1], keys, torch.cat([value_past, value_full], 2)))
        if value_full.shape[2] > RESIDUAL:
            value_past = torch.cat([value_past, round_values(lib, value_full[:, :, :1].contiguous(), bits)], 2)
            value_full = value_full[:, :, 1:]
    return torch.cat(outputs, 2)


def flat(tensor):
    """Nine digits tell a float32 number from its neighbours."""
    return [float(f"{x:.9g}") for x in tensor.flatten().tolist()]


def main():
    lib = load_rounding(sys.argv[1])
    generator = torch.Generator().manual_seed(5)
    draw = lambda heads, spread: (torch.randn(1, heads, TOKENS, CHANNELS, generator=generator) * spread / UNIT).round()
    units = {"q": draw(HEADS, 1.0), "k": draw(KV_HEADS, 1.0), "v": draw(KV_HEADS, 0.5)}
    units["k"][..., 3] += 900  # a channel far from the others in all tokens
    q, k, v = ((units[name] * UNIT).float() for name in "qkv")
    result = {"heads": HEADS, "kv_heads": KV_HEADS, "tokens": TOKENS, "prompt": PROMPT, "channels": CHANNELS,
              "group": GROUP, "residual": RESIDUAL, "unit": UNIT, "cases": []}
    result |= {name: [int(x) for x in flat(tensor)] for name, tensor in units.items()}
    whole = slice(0, 32)  # whole words of packed codes at every width
    for bits in (2, 4, 8):
        result["cases"].append({"bits": bits, "keys": flat(round_keys(lib, k[:, :, whole].contiguous(), bits)),
                                "values": flat(round_values(lib, v[:, :, whole].contiguous(), bits)),
                                "outputs": flat(decode(lib, q, k, v, bits))})
    pathlib.Path(sys.argv[2]).write_text(json.dumps(result, separators=(",", ":")).replace('"cases"', '\n"cases"') + "\n")


main()
