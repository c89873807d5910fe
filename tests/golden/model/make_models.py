"""Writes tiny random Llama models and their logits by transformers, one folder each.

Made with transformers 5.23.0 and torch 2.11.0:  python make_models.py
"""

import json
import pathlib
import shutil

import torch
from transformers import LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).parent
IDS = [[1, 5, 9, 2, 17, 23, 4, 4, 11, 0, 19, 8], [3, 3, 22, 14, 6, 1, 20, 7, 16, 12, 10, 21]]
ROPE = {"rope_theta": 10000.0}
MODELS = {
    "gqa-tied-sharded": {"shard": "10KB"},
    "mha-untied-bfloat16": {"num_key_value_heads": 4, "tie_word_embeddings": False, "dtype": torch.bfloat16},
    "biased-float16": {"attention_bias": True, "mlp_bias": True, "hidden_act": "gelu_pytorch_tanh",
                       "head_dim": 6, "dtype": torch.float16},
    "rope-linear": {"rope_parameters": {**ROPE, "rope_type": "linear", "factor": 4.0}},
    "rope-dynamic": {"max_position_embeddings": 8,
                     "rope_parameters": {**ROPE, "rope_type": "dynamic", "factor": 2.0}},
    "rope-llama3": {"rope_parameters": {"rope_theta": 50.0, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                        "high_freq_factor": 4.0, "original_max_position_embeddings": 64}},
    "rope-yarn": {"max_position_embeddings": 128,
                  "rope_parameters": {"rope_theta": 100.0, "rope_type": "yarn", "factor": 4.0,
                                      "original_max_position_embeddings": 32}},
    "rope-longrope": {"max_position_embeddings": 32,
                      "rope_parameters": {**ROPE, "rope_type": "longrope", "factor": 4.0,
                                          "original_max_position_embeddings": 8, "short_factor": [1.0, 1.1, 1.2, 1.3],
                                          "long_factor": [1.5, 2.0, 3.0, 4.0]}},
}


def make(name, options, seed):
    dtype = options.pop("dtype", torch.float32)
    shard = options.pop("shard", "1GB")
    settings = {"vocab_size": 24, "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 2,
                "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True, "head_dim": 8,
                "initializer_range": 0.4, "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 64}
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**{**settings, **options}))
    for key, parameter in model.named_parameters():
        if key.endswith("bias") or "norm" in key:
            torch.nn.init.normal_(parameter, mean=0.0 if key.endswith("bias") else 1.0, std=0.3)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    reference = {"ids": IDS}
    for implementation in ("eager", "sdpa"):
        stored = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=implementation)
        with torch.no_grad():
            logits = stored(torch.tensor(IDS)).logits
        reference[implementation] = [round(value, 6) for value in logits.flatten().tolist()]
    (folder / "reference.json").write_text(json.dumps(reference) + "\n")


for index, (name, options) in enumerate(MODELS.items()):
    make(name, dict(options), index)
