"""Writes text_metrics.json: what sacrebleu, rouge-score and transformers' SQuAD code give for pairs of texts.

python3 -m venv venv && venv/bin/pip install sacrebleu==2.6.0 rouge-score==0.1.2 transformers==5.17.0
venv/bin/python tests/golden/metrics/text_metrics.py
"""

import json
import pathlib
import random

import sacrebleu
from rouge_score import rouge_scorer
from transformers.data.metrics import squad_metrics

SENTENCES = [
    "The cat was found under the bed.",
    "the cat was under the bed",
    "A quick, brown fox; it's 3.14 (about 22/7) - or 1,000.5?",
    "An umbrella -- the U.S. price is $5.00, i.e. 10%.",
    "state-of-the-art 2-3 items... \"quoted\" &quot;escaped&quot; &amp; <tag>",
    "Straße und Müller’s Größe: ÄÖÜ, çà et là.",
    "猫在床底下被发现了。",
    "今天 GDP 增长 3.5%，比去年高。",
    "Привет, мир! Как дела?",
    "a the an",
    "",
    "   ",
    "word",
    "1 2 3 4 5 6 7 8 9 10",
    "hyphen-\nated line\nbreaks and\ttabs\u00a0here",
    "The the THE answer is: forty-two (42).",
    "x, y. z,1 1,z 1.2.3 a.b",
    "ab cd ef gh ij kl mn op qr st uv wx yz",
]


def perturbed(text, rng):
    words = text.split(" ")
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(words))
        kind = rng.randrange(4)
        if kind == 0 and len(words) > 1:
            words.pop(place)
        elif kind == 1:
            words.insert(place, rng.choice(["the", "a", "new", "7", ",", "猫"]))
        elif kind == 2:
            words[place] = words[place].upper()
        else:
            words[place] = words[place][::-1]
    return " ".join(words)


def main():
    rng = random.Random(7)
    pairs = [(a, [b]) for a in SENTENCES for b in SENTENCES]
    for text in SENTENCES:
        for _ in range(6):
            pairs.append((perturbed(text, rng), [text, perturbed(text, rng)][: rng.randrange(1, 3)]))
    rouge = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    items = []
    for text, references in pairs:
        scores = rouge.score(references[0], text)
        items.append(
            {
                "text": text,
                "references": references,
                "squad_normal": squad_metrics.normalize_answer(text),
                "squad_em": squad_metrics.compute_exact(references[0], text),
                "squad_f1": squad_metrics.compute_f1(references[0], text),
                "rouge": [scores[name].fmeasure for name in ("rouge1", "rouge2", "rougeL")],
                "bleu": sacrebleu.corpus_bleu([text], [[r] for r in references]).score,
                "bleu_zh": sacrebleu.corpus_bleu([text], [[r] for r in references], tokenize="zh").score,
                "chrf": sacrebleu.corpus_chrf([text], [[r] for r in references]).score,
            }
        )
    single = [item for item in items if len(item["references"]) == 1]
    corpus = {
        "bleu": sacrebleu.corpus_bleu([i["text"] for i in single], [[i["references"][0] for i in single]]).score,
        "chrf": sacrebleu.corpus_chrf([i["text"] for i in single], [[i["references"][0] for i in single]]).score,
    }
    tokens = {text: sacrebleu.BLEU(tokenize="13a").tokenizer(text).split() for text in SENTENCES}
    out = pathlib.Path(__file__).with_name("text_metrics.json")
    out.write_text(json.dumps({"items": items, "corpus": corpus, "tokens": tokens}, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
