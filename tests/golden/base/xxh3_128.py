#!/usr/bin/env python3
"""Prints the constants of tests/base/hash_test.cpp with the Python package xxhash (4.1.0)."""

import struct

import xxhash

for data in (b"", b"lowbit", b"The quick brown fox jumps over the lazy dog", bytes(i % 251 for i in range(1000))):
    print(data[:20], xxhash.xxh3_128_hexdigest(data))
fields = struct.pack("<Q", 2) + b"ab" + struct.pack("<Q", 1) + b"c" + struct.pack("<i", -7) + struct.pack("<d", 0.5)
print("fields", xxhash.xxh3_128_hexdigest(fields))
