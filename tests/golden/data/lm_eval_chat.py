#!/usr/bin/env python3
"""Hashes of the prompts that EleutherAI's lm-evaluation-harness makes with `--apply_chat_template`.

    pip install lm-eval==0.4.13 torch transformers xxhash
    lm_eval_chat.py <folder of test data>/data chat_prompts.json chat_turns.json

The second file has tasks with shots, which are turns of their own (`--fewshot_as_multiturn`). Rows and tasks are those of lm_eval_tasks.py, the template is text/chat/chatml.jinja beside this folder.
"""
import json
import os
import sys

import datasets
from transformers.utils.chat_template_utils import render_jinja_template

import lm_eval_tasks

COUNT = 20
SHOTLESS = ["piqa", "winogrande", "boolq", "copa", "truthfulqa_mc1", "lambada_openai"]
WITH_SHOTS = ["mmlu_anatomy", "ceval-valid_accountant", "cmmlu_anatomy", "gsm8k"]
TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "text", "chat", "chatml.jinja")

with open(TEMPLATE, encoding="utf-8") as file:
    SOURCE = file.read()


def in_chat(messages, add_generation_prompt=True):
    return render_jinja_template(conversations=[messages], chat_template=SOURCE,
                                 add_generation_prompt=add_generation_prompt)[0][0]


def write_prompts(manager, names, as_turns, path):
    prompts = {}
    for name in names:
        dataset, group, shots, rows = lm_eval_tasks.TASKS[name]
        made = datasets.DatasetDict({split: datasets.Dataset.from_list(list(make())) for split, make in rows.items()})
        for split in ("train", "validation", "test"):
            made.setdefault(split, next(iter(made.values())))
        datasets.load_dataset = lambda *args, **kwargs: made
        task = next(iter(manager.load([name])["tasks"].values()))
        task.set_config(key="num_fewshot", value=shots)
        task.set_fewshot_seed(seed=1234)
        task.build_all_requests(limit=COUNT, apply_chat_template=True, fewshot_as_multiturn=as_turns,
                                chat_template=in_chat, tokenizer_name="chatml")
        questions = {}
        for instance in task.instances:
            questions.setdefault(instance.doc_id, []).append(instance)
        pairs = [[lm_eval_tasks.pair_hash(*i.args) for i in questions[q]] for q in sorted(questions)]
        prompts[name] = {"dataset": dataset, "group": group, "shots": shots, "pairs": pairs}
        print(name, repr(task.instances[0].args[0][-150:]), repr(task.instances[0].args[1]), flush=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(prompts, file, separators=(",", ":"))
        file.write("\n")


def main():
    from lm_eval.tasks import TaskManager

    manager = TaskManager()
    write_prompts(manager, SHOTLESS + WITH_SHOTS, False, sys.argv[2])
    write_prompts(manager, WITH_SHOTS, True, sys.argv[3])


if __name__ == "__main__":
    main()
