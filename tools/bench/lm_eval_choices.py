#!/usr/bin/env python3
"""Scores the choices of tasks with EleutherAI's harness, or compares what it took with what lowbit took.

    lm_eval_choices.py score <folder of evaluation data> <Hugging Face folder> <threads> <batch> <questions> <task> > out
    lm_eval_choices.py compare <task> <out>... -- <lowbit's results>...

Rows, tasks and prompts are those of tests/golden/data/lm_eval_tasks.py. `score` writes a JSON object: each question's
log-likelihoods, the seconds of the scoring alone (tokenizing included, loading and prompts not) and the process' peak
memory. `compare` prints a row of a Markdown table; of lowbit the seconds are those of the evaluation, prompts included,
and the peak is read from the line "<KiB>" of the file <result>.peak.
"""
import json
import os
import resource
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/golden/data"))


def score(data, folder, threads, batch, count, name):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    sys.argv = [sys.argv[0], data]
    import lm_eval_tasks
    import torch
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    torch.set_num_threads(int(threads))
    model = HFLM(pretrained=folder, dtype="float32", device="cpu", batch_size=int(batch))
    _, _, shots, rows = lm_eval_tasks.TASKS[name]
    questions = lm_eval_tasks.requests_of(TaskManager(), name, shots, rows, int(count))
    flat = [instance for question in questions for instance in question]
    begin = time.perf_counter()
    answers = iter(model.loglikelihood(flat, disable_tqdm=True))
    seconds = time.perf_counter() - begin
    json.dump({"log_likelihoods": [[next(answers)[0] for _ in question] for question in questions], "seconds": seconds,
               "peak_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}, sys.stdout)


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def likelihoods_of_lowbit(result):
    for item in result["items"]:
        count = sum(key.startswith("log_likelihood ") for key in item)
        yield [item[f"log_likelihood {i}"] for i in range(count)]


def best(values):
    return max(range(len(values)), key=lambda i: values[i])


def spread(values, scale, form):
    low, middle, high = (f"{value / scale:{form}}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})"


def compare(name, rivals, paths):
    rival, own = [load(path) for path in rivals], [load(path) for path in paths]
    pairs = list(zip(rival[0]["log_likelihoods"], likelihoods_of_lowbit(own[0]), strict=True))
    same = sum(best(a) == best(b) for a, b in pairs)
    apart = max(abs(x - y) / max(abs(x), 1e-3) for a, b in pairs for x, y in zip(a, b, strict=True))
    rival_seconds, seconds = [r["seconds"] for r in rival], [o["cost"]["seconds"] for o in own]
    rival_peak = [r["peak_memory_bytes"] for r in rival]
    peak = [1024 * int(open(path + ".peak", encoding="utf-8").read()) for path in paths]
    faster = [a / b for a, b in zip(rival_seconds, seconds, strict=True)]
    memory = [b / a for a, b in zip(rival_peak, peak, strict=True)]
    print(f"| {name} | {len(pairs)} | {same} | {apart:.1e} | {spread(rival_seconds, 1, '.1f')} | {spread(seconds, 1, '.1f')} | "
          f"{spread(faster, 1, '.2f')} | {spread(rival_peak, 2**20, '.0f')} | {spread(peak, 2**20, '.0f')} | "
          f"{spread(memory, 1, '.2f')} |")


if sys.argv[1] == "score":
    score(*sys.argv[2:])
else:
    split = sys.argv.index("--")
    compare(sys.argv[2], sys.argv[3:split], sys.argv[split + 1:])
