"""Makes the golden files of this folder with the packages safetensors 0.8.0, torch 2.11.0 and gguf 0.19.0.

    python tests/golden/containers/make.py

The values are rules that the tests repeat: element i of a plain tensor is i, of a boolean one i % 2, and byte i of a
block tensor is (37 i + 11) % 256. The files are small enough to be cut at every byte.
"""

from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent


def counting(dtype, *shape):
    count = int(np.prod(shape, dtype=np.int64))
    return torch.arange(count).to(torch.float32).to(dtype).reshape(shape)


def make_types():
    """One tensor of every type, named by it, a scalar, an empty one, and metadata."""
    plain = {
        "U8": torch.uint8, "I8": torch.int8, "U16": torch.uint16, "I16": torch.int16, "U32": torch.uint32,
        "I32": torch.int32, "U64": torch.uint64, "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16,
        "F32": torch.float32, "F64": torch.float64, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    }
    tensors = {name: counting(dtype, 2, 3) for name, dtype in plain.items()}
    tensors["BOOL"] = torch.tensor([[False, True, False], [True, False, True]])
    tensors["F8_E8M0"] = torch.arange(6, dtype=torch.uint8).reshape(2, 3).view(torch.float8_e8m0fnu)
    tensors["F4"] = torch.arange(6, dtype=torch.uint8).reshape(2, 3).view(torch.float4_e2m1fn_x2)
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(4, 0, 3)
    save_file(tensors, HERE / "types.safetensors", metadata={"format": "pt", "note": "gr\u00fc\u00df"})


def make_small():
    save_file({"a": counting(torch.float32, 2, 2), "b": counting(torch.float16, 3)}, HERE / "small.safetensors")


def pattern(size):
    return ((37 * np.arange(size) + 11) % 256).astype(np.uint8)


def make_gguf():
    """Every kind of metadata value, and tensors of plain and of block types."""
    writer = gguf.GGUFWriter(HERE / "values.gguf", "test")
    writer.add_uint8("v.u8", 200)
    writer.add_int8("v.i8", -100)
    writer.add_uint16("v.u16", 60000)
    writer.add_int16("v.i16", -30000)
    writer.add_uint32("v.u32", 4000000000)
    writer.add_int32("v.i32", -2000000000)
    writer.add_uint64("v.u64", 2**62)
    writer.add_int64("v.i64", -(2**62))
    writer.add_float32("v.f32", 0.1)
    writer.add_float64("v.f64", 0.1)
    writer.add_bool("v.true", True)
    writer.add_bool("v.false", False)
    writer.add_string("v.string", "gr\u00fc\u00df")
    writer.add_array("a.integers", [1, -2, 3])
    writer.add_array("a.reals", [0.5, -1.25])
    writer.add_array("a.booleans", [True, False, True])
    writer.add_array("a.strings", ["", "b", "\u4f60\u597d"])
    writer.add_key_value("a.bytes", [1, 2, 255], gguf.GGUFValueType.ARRAY, sub_type=gguf.GGUFValueType.UINT8)
    writer.add_tensor("f32", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("f16", np.arange(6, dtype=np.float16).reshape(3, 2))
    writer.add_tensor("i32", np.arange(24, dtype=np.int32).reshape(2, 3, 4))
    writer.add_tensor("q8_0", pattern(2 * 2 * 34).reshape(2, 68), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("q4_k", pattern(144).reshape(1, 144), raw_dtype=gguf.GGMLQuantizationType.Q4_K)
    writer.add_tensor("iq4_nl", pattern(18).reshape(1, 18), raw_dtype=gguf.GGMLQuantizationType.IQ4_NL)
    write(writer)
    # The data ends with the file, so that every cut loses something.
    writer = gguf.GGUFWriter(HERE / "small.gguf", "test")
    writer.add_array("tokens", ["a", "bc"])
    writer.add_float32("scale", 1.5)
    writer.add_tensor("f16", np.arange(4, dtype=np.float16))
    writer.add_tensor("f32", np.arange(8, dtype=np.float32).reshape(2, 4))
    write(writer)


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


make_types()
make_small()
make_gguf()
