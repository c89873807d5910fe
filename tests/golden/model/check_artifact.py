"""Holds an artifact against transformers and compressed-tensors: every weight bit for bit, and the logits.

By hand: python tests/golden/model/check_artifact.py <artifact> <dequantized.safetensors>
The second file holds the artifact's weights in float32 as lowbit reads them. transformers 5.23, compressed-tensors 0.20.

Symmetric grids go through the default route, which keeps the packed weights and unpacks them in the first forward pass.
These versions cannot load packed zero points that way (their own checkpoints neither): asymmetric grids take
`dequantize=True`, which multiplies in the type of the stored scales, so that the products are compared in that type.
"""

import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, CompressedTensorsConfig


def stored_scales(folder):
    """The type of each linear's stored scales, by the name of its weight."""
    types = {}
    for path in Path(folder).glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            for name in file.keys():
                if name.endswith(".weight_scale"):
                    types[name.removesuffix("_scale")] = file.get_tensor(name).dtype
    return types


def load(folder, config):
    groups = config.quantization_config["config_groups"].values()
    options = {}
    if any(not group["weights"]["symmetric"] for group in groups):
        options["quantization_config"] = CompressedTensorsConfig(dequantize=True)
    # In float32: by the default route compressed-tensors multiplies in the type of the model.
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options).eval()
    return model, bool(options)


def main(folder, dequantized):
    config = AutoConfig.from_pretrained(folder)
    model, dequantizes = load(folder, config)
    ids = torch.arange(1, 60)[None] % config.vocab_size
    with torch.no_grad():
        logits = model(ids).logits
    expected = load_file(dequantized)
    if dequantizes:
        for name, dtype in stored_scales(folder).items():
            expected[name] = expected[name].to(dtype).float()
    weights = dict(model.named_parameters())
    worst = max((weights[name].float() - value).abs().max().item() for name, value in expected.items())
    del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    plain.load_state_dict(expected, strict=False)
    plain.tie_weights()
    with torch.no_grad():
        difference = (plain(ids).logits - logits).abs().max().item()
    print(f"{folder}: {len(expected)} tensors, greatest difference of weights {worst}, of logits {difference}")
    if worst != 0.0 or difference != 0.0:
        raise SystemExit(1)


main(*sys.argv[1:3])
