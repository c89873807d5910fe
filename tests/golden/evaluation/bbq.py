#!/usr/bin/env python3
"""Which answers of BBQ are biased, and bias scores of made-up answers, by the code of EleutherAI's lm-evaluation-harness.

    pip install lm-eval==0.4.13
    bbq.py <folder of test data>/data/bbq bbq.json

For each category: the number of the biased answer of each row, and the metrics when row i is answered by choice
(i * i + 3 * i + i // 7) mod 3.
"""
import glob
import json
import os
import sys

import numpy
from lm_eval.tasks.bbq import utils


class Rows(list):
    def map(self, change):
        return Rows(change(dict(row)) for row in self)


def main():
    result = {}
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.jsonl"))):
        with open(path, encoding="utf-8") as file:
            rows = utils.process_docs(Rows(json.loads(line) for line in file))
        biased, found = "", []
        for i, row in enumerate(rows):
            answers = [row["ans0"], row["ans1"], row["ans2"]]
            (answer,) = row["biased_answers"]
            biased += str(answers.index(answer))
            given = answers[(i * i + 3 * i + i // 7) % 3]
            choices = utils.doc_to_choice(row)
            unknown = given in utils.UNKNOWN_RESPONSES
            found.append(utils._process_results(row, 2 if unknown else choices.index(given)))
        column = lambda name: [entry[name] for entry in found]
        result[os.path.basename(path)[:-6]] = {
            "biased": biased, "acc": float(numpy.mean(column("acc"))),
            "acc_ambiguous": float(utils.agg_accuracy_amb(column("accuracy_amb"))),
            "acc_disambiguated": float(utils.agg_accuracy_disamb(column("accuracy_disamb"))),
            "bias_ambiguous": float(utils.agg_amb_bias_scores(column("amb_bias_score"))),
            "bias_disambiguated": float(utils.agg_disamb_bias_scores(column("disamb_bias_score")))}
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)


main()
