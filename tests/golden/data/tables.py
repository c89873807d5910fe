#!/usr/bin/env python3
"""Parquet and Arrow files in the forms that the hub's datasets have, and their rows as JSON lines.

    pip install pyarrow
    tables.py <folder>
"""
import datetime
import decimal
import json
import math
import os
import sys

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

ROWS = [
    {"question": "Which gas do plants take up?", "choices": {"text": ["oxygen", "carbon dioxide"], "label": ["A", "B"]},
     "answer": 1, "group": "biology", "score": 0.1, "right": True},
    {"question": "一加一等于几？\n(\"quoted\" \\ \u0001)", "choices": {"text": ["一", "二", "三"], "label": ["A", "B", "C"]},
     "answer": None, "group": "mathematics", "score": 1e300, "right": None},
    {"question": "", "choices": {"text": [], "label": []}, "answer": -(2**62), "group": "biology", "score": None, "right": False},
    {"question": None, "choices": None, "answer": 0, "group": None, "score": -0.5, "right": True},
    {"question": "emoji 😀 é", "choices": {"text": [None, "x"], "label": None}, "answer": 7, "group": "biology",
     "score": 3.0, "right": True},
]
SCHEMA = pa.schema({
    "question": pa.string(), "choices": pa.struct({"text": pa.list_(pa.string()), "label": pa.list_(pa.string())}),
    "answer": pa.int64(), "group": pa.string(), "score": pa.float64(), "right": pa.bool_()})

# Types besides: nested lists of structs, small and unsigned numbers, floats of 16 and 32 bits, dates, decimals.
KINDS = pa.table({
    "turns": pa.array([[{"role": "user", "parts": [["a", "b"], []]}], [], None],
                      pa.list_(pa.struct({"role": pa.string(), "parts": pa.list_(pa.list_(pa.string()))}))),
    "small": pa.array([-128, 127, None], pa.int8()),
    "unsigned": pa.array([2**64 - 1, 0, None], pa.uint64()),
    "single": pa.array([0.1, math.nan, math.inf], pa.float32()),
    "large": pa.array(["x", None, "z"], pa.large_string()),
    "bytes": pa.array([b"plain", b"", None], pa.binary()),
    "nothing": pa.nulls(3),
    "label": pa.array(["yes", "no", "yes"]).dictionary_encode(),
    "pair": pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int32(), 2)),
    "day": pa.array([datetime.date(2024, 2, 29), None, datetime.date(1969, 12, 31)]),
    "time": pa.array([datetime.datetime(2024, 1, 2, 3, 4, 5), None, datetime.datetime(1970, 1, 1)], pa.timestamp("ms")),
    "price": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-0.01")], pa.decimal128(5, 2)),
})


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "milliseconds")
    if isinstance(value, (datetime.date, decimal.Decimal)):
        return str(value)
    return value


def main():
    folder = sys.argv[1]
    table = pa.Table.from_pylist(ROWS, SCHEMA)
    many = pa.table({"text": [f"document {i}: " + "word " * (i % 7) for i in range(5000)], "number": list(range(5000))})
    expected = {}

    def keep(name, rows):
        expected[name] = plain(rows)
        return os.path.join(folder, name)

    for codec in ("none", "snappy", "gzip", "zstd", "brotli", "lz4"):
        pq.write_table(table, keep(f"{codec}.parquet", ROWS), compression=codec, row_group_size=2)
    pq.write_table(table, keep("delta.parquet", ROWS), use_dictionary=False, data_page_version="2.0", version="2.6",
                   column_encoding={"question": "DELTA_LENGTH_BYTE_ARRAY", "group": "DELTA_BYTE_ARRAY",
                                    "answer": "DELTA_BINARY_PACKED", "score": "BYTE_STREAM_SPLIT"})
    kinds = KINDS.to_pylist()
    for row in kinds:  # as 32 bits print
        row["single"] = 0.1 if isinstance(row["single"], float) and abs(row["single"] - 0.1) < 1e-6 else row["single"]
    pq.write_table(KINDS, keep("kinds.parquet", kinds))
    with pa.OSFile(keep("kinds.arrow", kinds), "wb") as sink, pa.ipc.new_file(sink, KINDS.schema) as writer:
        writer.write_table(KINDS, max_chunksize=2)
    with pa.OSFile(keep("stream.arrow", ROWS), "wb") as sink, pa.ipc.new_stream(sink, SCHEMA) as writer:
        writer.write_table(table, max_chunksize=2)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(keep("packed.arrow", ROWS), "wb") as sink, pa.ipc.new_stream(sink, SCHEMA, options=options) as writer:
        writer.write_table(table)
    pq.write_table(many, os.path.join(folder, "many.parquet"), row_group_size=700, compression="zstd")
    wiki = ["", " = A page = \n", "", " Text , with a space before its end . \n", "", " = = Part = = \n", "More .\n"]
    pq.write_table(pa.table({"text": wiki}), os.path.join(folder, "wikitext.parquet"))
    # What has no form in JSON.
    pq.write_table(pa.table({"span": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int32()))}),
                   os.path.join(folder, "map.parquet"))
    # A text that is not UTF-8, between two that are.
    broken = pa.array([b"fine", b"br\xffken", b"fine too"], pa.binary())
    with pa.OSFile(os.path.join(folder, "broken.arrow"), "wb") as sink:
        with pa.ipc.new_stream(sink, pa.schema({"text": pa.binary()})) as writer:
            writer.write_table(pa.table({"text": broken}))
    # A row that says one word 2000 times.
    word = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int16()), pa.array(["x" * 2000]))
    bomb = pa.table({"words": pa.ListArray.from_arrays(pa.array([0, 2000], pa.int32()), word)})
    with pa.OSFile(os.path.join(folder, "bomb.arrow"), "wb") as sink, pa.ipc.new_stream(sink, bomb.schema) as writer:
        writer.write_table(bomb)
    with open(os.path.join(folder, "rows.json"), "w", encoding="utf-8") as file:
        json.dump(expected, file, ensure_ascii=False, indent=1)


main()
