#!/usr/bin/env python3
"""Prints the constants of tests/base/utf8_test.cpp, ReplaceInvalidUtf8: what Python's decoder makes of byte strings.

All strings of one to four bytes over BYTES, in lexicographic order of their indices within each length, are decoded
with errors="replace", encoded again, and fed with a closing newline into FNV-1a with 64 bits.
"""

import itertools

# Both sides of every boundary in table 3-7 of the Unicode standard.
BYTES = [0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
         0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF]

value, count = 0xCBF29CE484222325, 0
for length in range(1, 5):
    for sequence in itertools.product(BYTES, repeat=length):
        for byte in bytes(sequence).decode("utf-8", "replace").encode() + b"\n":
            value = ((value ^ byte) * 0x100000001B3) % 2**64
        count += 1
print(f"{count} strings, hash {value:#018x}")
