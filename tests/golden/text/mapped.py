"""Makes mapped.model and mapped.json in this folder: a small sentencepiece model whose character map rewrites texts before
they are cut, and the ids that the sentencepiece library gives.

Made with Python 3.11 and sentencepiece 0.2.0:  python mapped.py
"""
import io
import json
import os
import tempfile

import sentencepiece

HERE = os.path.dirname(os.path.abspath(__file__))
# code points -> code points: A to a, e with an accent to e, the ligature fi to its letters, "ab" to "c".
RULES = ["41\t61", "E9\t65", "FB01\t66 69", "61 62\t63"]
LINES = ["the quick brown fox jumps over the lazy dog", "fine finds of five figs", "a cab and a cafe"]
TEXTS = ["", "A fine cafe", "caf\u00e9 \ufb01ne", "ab Ab abab", "\u4e2d\u6587 x"]

with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)  # the model keeps the name of the rules
    with open("rules.tsv", "w", encoding="utf-8") as out:
        out.write("\n".join(RULES) + "\n")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES * 20), model_writer=model, vocab_size=40, model_type="bpe", hard_vocab_limit=False,
        normalization_rule_tsv="rules.tsv", minloglevel=2)
with open(os.path.join(HERE, "mapped.model"), "wb") as out:
    out.write(model.getvalue())
processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
with open(os.path.join(HERE, "mapped.json"), "w", encoding="utf-8") as out:
    json.dump([{"text": text, "ids": processor.encode(text)} for text in TEXTS], out)
    out.write("\n")
