#!/usr/bin/env python3
"""Prompts, token splits and likelihoods of EleutherAI's lm-evaluation-harness on the test data's rows.

    pip install lm-eval==0.4.13 torch transformers xxhash
    lm_eval_tasks.py <folder of test data>/data prompts.json [<Hugging Face folder of the default model> scores.json]

The harness' own task definitions and code make every prompt; only their download is replaced by the rows of the test
data, brought into the form that the hub has. `prompts.json` holds a hash of each (context, continuation) pair of the
first questions, so that no dataset is copied; `scores.json` the likelihoods in float32 with the number of tokens.
"""
import csv
import json
import os
import sys

import datasets
import xxhash

ROOT = sys.argv[1]
COUNT = 60
# Questions whose likelihoods are kept.
SCORED = {"piqa": 60, "arc_easy": 60, "copa": 60, "winogrande": 60, "crows_pairs_english": 60, "hellaswag": 40,
          "openbookqa": 60, "lambada_openai": 20, "mmlu_anatomy": 10, "cmmlu_anatomy": 10}


def jsonl(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def table(path, header=None):
    with open(os.path.join(ROOT, path), encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, fieldnames=header))


def piqa():
    for row in jsonl("piqa/piqa.jsonl"):
        goal = row["query"].removeprefix("Question: ").removesuffix("\n")
        yield {"goal": goal, "sol1": row["choices"][0], "sol2": row["choices"][1], "label": row["gold"]}


def hellaswag():
    lines = open(os.path.join(ROOT, "hellaswag/hellaswag_val_2000.txt"), encoding="utf-8").read().split("\n")
    for i in range(0, len(lines) - 5, 6):
        label, context = lines[i].split(": ", 1)
        yield {"activity_label": label, "ctx_a": context, "ctx_b": "", "label": lines[i + 1], "endings": lines[i + 2:i + 6]}


def arc(name):
    for row in jsonl(f"arc/{name}.jsonl"):
        letters = [chr(65 + i) for i in range(len(row["choices"]))]
        yield {"question": row["query"].removeprefix("Question: "), "answerKey": letters[row["gold"]],
               "choices": {"text": row["choices"], "label": letters}}


def openbookqa():
    for row in jsonl("openbookqa/openbook_qa.jsonl"):
        letters = [chr(65 + i) for i in range(len(row["choices"]))]
        yield {"question_stem": row["query"], "answerKey": letters[row["gold"]],
               "choices": {"text": row["choices"], "label": letters}}


def boolq():
    for row in jsonl("boolq/boolq.jsonl"):
        passage, question = row["query"].removeprefix("Passage: ").rsplit("\nQuestion: ", 1)
        yield {"passage": passage, "question": question.removesuffix("?"), "label": row["gold"]}


def copa():
    for row in jsonl("copa/copa.jsonl"):
        premise, connector = row["query"].rsplit(", ", 1)
        yield {"premise": premise + ".", "question": {"because": "cause", "therefore": "effect"}[connector],
               "choice1": row["choices"][0], "choice2": row["choices"][1], "label": row["gold"]}


def winogrande():
    for row in jsonl("winogrande/winogrande.jsonl"):
        first, second = row["context_options"]
        start = os.path.commonprefix([first, second])
        start = start[:start.rfind(" ") + 1]
        yield {"sentence": f"{start}_ {row['continuation']}", "option1": first[len(start):],
               "option2": second[len(start):], "answer": str(row["gold"] + 1)}


def pubmedqa():
    for row in jsonl("pubmed_qa/pubmed_qa_labeled.jsonl"):
        context, question = row["context"].removeprefix("Context: ").rsplit("\nQuestion: ", 1)
        yield {"CONTEXTS": [context], "QUESTION": question.split("\nA. yes")[0], "final_decision": row["continuation"]}


def lambada():
    for row in jsonl("lambada/lambada_openai.jsonl"):
        yield {"text": row["context"] + " " + row["continuation"]}


def truthfulqa():
    for row in table("truthfulqa/TruthfulQA.csv"):
        wrong = [answer.strip() for answer in row["Incorrect Answers"].split(";")]
        right = [answer.strip() for answer in row["Correct Answers"].split(";")]
        yield {"question": row["Question"],
               "mc1_targets": {"choices": [row["Best Answer"].strip()] + wrong, "labels": [1] + [0] * len(wrong)},
               "mc2_targets": {"choices": right + wrong, "labels": [1] * len(right) + [0] * len(wrong)}}


def crows_pairs():
    for row in table("crows_pairs/crows_pairs_anonymized.csv"):
        yield {"sent_more": row["sent_more"], "sent_less": row["sent_less"], "bias_type": row["bias_type"]}


def mmlu(subject, split):
    for row in table(f"mmlu/{split}/{subject}_{split}.csv", ["question", "A", "B", "C", "D", "answer"]):
        yield {"question": row["question"], "choices": [row[letter] for letter in "ABCD"],
               "answer": "ABCD".index(row["answer"])}


def ceval(subject, split):
    yield from table(f"ceval/{split}/{subject}_{split}.csv")


def cmmlu(subject, split):
    yield from table(f"cmmlu/{split}/{subject}.csv")


# harness' task -> (lowbit's dataset, group, shots, rows by split)
TASKS = {
    "piqa": ("piqa", "", 0, {"validation": piqa}),
    "hellaswag": ("hellaswag", "", 0, {"validation": hellaswag}),
    "arc_easy": ("arc-easy", "", 0, {"test": lambda: arc("arc_easy")}),
    "arc_challenge": ("arc-challenge", "", 0, {"test": lambda: arc("arc_challenge")}),
    "openbookqa": ("openbookqa", "", 0, {"test": openbookqa}),
    "boolq": ("boolq", "", 0, {"validation": boolq}),
    "copa": ("copa", "", 0, {"validation": copa}),
    "winogrande": ("winogrande", "", 0, {"validation": winogrande}),
    "pubmedqa": ("pubmed-qa", "", 0, {"test": pubmedqa}),
    "lambada_openai": ("lambada", "", 0, {"test": lambada}),
    "truthfulqa_mc1": ("truthfulqa-mc1", "", 0, {"validation": truthfulqa}),
    "truthfulqa_mc2": ("truthfulqa-mc2", "", 0, {"validation": truthfulqa}),
    "crows_pairs_english": ("crows-pairs", "", 0, {"test": crows_pairs}),
    "mmlu_anatomy": ("mmlu", "anatomy", 5, {s: (lambda s=s: mmlu("anatomy", s)) for s in ("dev", "test")}),
    "mmlu_high_school_us_history": ("mmlu", "high_school_us_history", 0,
                                    {s: (lambda s=s: mmlu("high_school_us_history", s)) for s in ("dev", "test")}),
    "ceval-valid_accountant": ("ceval", "accountant", 5, {s: (lambda s=s: ceval("accountant", s)) for s in ("dev", "val")}),
    "cmmlu_anatomy": ("cmmlu", "anatomy", 5, {s: (lambda s=s: cmmlu("anatomy", s)) for s in ("dev", "test")}),
    "gsm8k": ("gsm8k", "", 5, {s: (lambda f=f: jsonl(f"gsm8k/{f}.jsonl")) for s, f in (("train", "train_512"), ("test", "test"))}),
}


def requests_of(manager, name, shots, rows, count):
    made = datasets.DatasetDict({split: datasets.Dataset.from_list(list(make())) for split, make in rows.items()})
    for split in ("train", "validation", "test"):  # named by tasks, but neither scored nor drawn from here
        made.setdefault(split, next(iter(made.values())))
    datasets.load_dataset = lambda *args, **kwargs: made
    task = next(iter(manager.load([name])["tasks"].values()))
    task.set_config(key="num_fewshot", value=shots)
    task.set_fewshot_seed(seed=1234)
    task.build_all_requests(limit=count)
    questions = {}
    for instance in task.instances:
        questions.setdefault(instance.doc_id, []).append(instance)
    return [questions[i] for i in sorted(questions)]


def pair_hash(context, continuation):
    if not isinstance(continuation, str):  # how an answer is to be written
        continuation = ""
    return xxhash.xxh3_128(json.dumps([context, continuation], ensure_ascii=False).encode()).hexdigest()


def main():
    from lm_eval.tasks import TaskManager

    prompts, scores = {}, {}
    model = None
    manager = TaskManager()
    if len(sys.argv) > 3:
        from lm_eval.models.huggingface import HFLM

        model = HFLM(pretrained=sys.argv[3], dtype="float32", device="cpu", batch_size=4)
    for name, (dataset, group, shots, rows) in TASKS.items():
        questions = requests_of(manager, name, shots, rows, COUNT)
        prompts[name] = {"dataset": dataset, "group": group, "shots": shots,
                         "pairs": [[pair_hash(*i.args) for i in question] for question in questions]}
        with open(sys.argv[2], "w") as file:
            json.dump(prompts, file, separators=(",", ":"))
        print(name, len(questions), repr(questions[0][0].args[0][-120:]), repr(questions[0][0].args[1]), flush=True)
        if model is None or name not in SCORED:
            continue
        questions = questions[:SCORED[name]]
        flat = [instance for question in questions for instance in question]
        answers = iter(model.loglikelihood(flat, disable_tqdm=True))
        entries = []
        for question in questions:
            found = [next(answers) for _ in question]
            pairs = [model._encode_pair(*i.args) if i.args[0] else ([model.prefix_token_id], model.tok_encode(i.args[1]))
                     for i in question]
            entries.append({"log_likelihoods": [round(f[0], 5) for f in found], "greedy": [f[1] for f in found],
                            "tokens": [[len(c), len(t)] for c, t in pairs]})
        scores[name] = entries
        with open(sys.argv[4], "w") as file:
            json.dump(scores, file, separators=(",", ":"))


if __name__ == "__main__":
    main()
