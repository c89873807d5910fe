#pragma once

#include <lowbit/evaluation/evaluation.h>

/// The evaluation "top1": the share of tokens that were the model's first choice, on windows of a text.
void register_top1(lowbit::Registry<lowbit::Evaluation>& registry);
