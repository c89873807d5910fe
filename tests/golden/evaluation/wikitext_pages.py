"""Writes wikitext_pages.json: what the task `wikitext` of EleutherAI's harness makes of WikiText-2's pages.

Usage: wikitext_pages.py <folder with wiki.test.raw and wiki.valid.raw> > wikitext_pages.json
The patterns are those of the task's description (lm_eval/tasks/wikitext), run by Python's own `re`.
"""

import json
import re
import sys
import zlib
from pathlib import Path


def pages_of(text):
    pages, lines = [], []
    for line in text.split("\n"):
        title = line.replace("= = =", "===").replace("= =", "==").strip()
        if title.startswith("= ") and title.endswith(" ="):
            if "\n".join(lines).strip():
                pages.append("\n".join(lines))
            lines = []
        lines.append(line)
    return pages + ["\n".join(lines)]


BEFORE = [("s '", "s'"), (" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", "."), (" : ", ": "), (" ; ", "; "), (" . ", ". "),
          (" ! ", "! "), (" ? ", "? "), (" , ", ", ")]
PAIRS = [(r"\(\s*([^\)]*?)\s*\)", r"(\1)"), (r"\[\s*([^\]]*?)\s*\]", r"[\1]"), (r"{\s*([^}]*?)\s*}", r"{\1}"),
         (r"\"\s*([^\"]*?)\s*\"", r'"\1"'), (r"'\s*([^']*?)\s*'", r"'\1'")]
AFTER = [("= = = =", "===="), ("= = =", "==="), ("= =", "=="), (" \u00b0 ", "\u00b0"), (" \n", "\n"), ("\n ", "\n"),
         (" N ", " 1 "), (" 's", "'s")]


def detokenized(text):
    for old, new in BEFORE:
        text = text.replace(old, new)
    for pattern, new in PAIRS:
        text = re.sub(pattern, new, text)
    for old, new in AFTER:
        text = text.replace(old, new)
    return text


def summary(path):
    pages = pages_of(path.read_bytes().decode("utf-8"))
    clean = "".join(map(detokenized, pages)).encode("utf-8")
    return {
        "pages": len(pages),
        "bytes": sum(len(page.encode("utf-8")) for page in pages),
        "words": sum(len(re.split(r"\s+", page)) for page in pages),
        "detokenized_bytes": len(clean),
        "detokenized_crc32": zlib.crc32(clean),
    }


folder = Path(sys.argv[1])
print(json.dumps({name: summary(folder / f"wiki.{name}.raw") for name in ("test", "valid")}, indent=2))
