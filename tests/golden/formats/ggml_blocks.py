"""Makes ggml_blocks.gguf with the package gguf 0.19.0, whose quants.py is an independent implementation in numpy.

    python tests/golden/formats/ggml_blocks.py

"<TYPE>.blocks" holds random blocks with finite scales and "<TYPE>.values" what the package decodes them to; "encode.values"
is the input and "<TYPE>.encoded" the blocks that the package encodes it to.
"""

from pathlib import Path

import gguf
import numpy as np
from gguf import quants

Type = gguf.GGMLQuantizationType
random = np.random.default_rng(20260730)
writer = gguf.GGUFWriter(Path(__file__).parent / "ggml_blocks.gguf", "test")


def half(value):
    return np.frombuffer(np.float16(value).tobytes(), dtype=np.uint8)


# Where the float16 scales lie in each block.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "TQ1_0": [52], "TQ2_0": [64], "MXFP4": [],
}

for name, places in SCALES.items():
    elements, size = gguf.GGML_QUANT_SIZES[Type[name]]
    count = 4 if elements == 32 else 1
    blocks = random.integers(0, 256, size=(count, size), dtype=np.uint8)
    for row in blocks:
        for place in places:
            row[place : place + 2] = half(random.normal() * 0.1)
    if name == "MXFP4":
        blocks[:, 0] = [0, 1, 120, 133]
    values = quants.dequantize(blocks, Type[name]).astype(np.float32)
    writer.add_tensor(f"{name}.blocks", blocks, raw_dtype=Type[name])
    writer.add_tensor(f"{name}.values", values.reshape(-1))

rows = random.normal(size=(8, 32)).astype(np.float32)
rows[1] *= 1e-4
rows[2] *= 1e3
rows[3] = 0
rows[4] = 0.75
rows[5] = -np.abs(rows[5])
rows[6] = np.round(rows[6] * 4) / 2  # ties
rows[7, :31] = 0
writer.add_tensor("encode.values", rows.reshape(-1))
for name in ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]:
    writer.add_tensor(f"{name}.encoded", quants.quantize(rows, Type[name]), raw_dtype=Type[name])

writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
