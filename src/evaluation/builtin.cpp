#include <memory>

#include "evaluation/efficiency.h"
#include "evaluation/generation.h"
#include "evaluation/multiple_choice.h"
#include "evaluation/perplexity.h"
#include "evaluation/retrieval.h"
#include "lowbit/evaluation/evaluation.h"

namespace lowbit {

void register_builtin_evaluations(Registry<Evaluation>& registry) {
  registry.add<PerplexityOptions>(
      "perplexity", "perplexity by a named protocol, with the divergence from the float model's predictions",
      "protocols: Frantar et al. 2023 (GPTQ, arXiv 2210.17323); llama.cpp; EleutherAI lm-evaluation-harness",
      [](const PerplexityOptions& options) { return std::make_unique<Perplexity>(options); });
  registry.add<EfficiencyOptions>(
      "efficiency", "tokens read and decoded a second on this machine, beside its roofline", "",
      [](const EfficiencyOptions& options) { return std::make_unique<Efficiency>(options); });
  registry.add<RetrievalOptions>("retrieval", "whether one of many records is found again, read from the KV cache",
                                 "after Mohtashami & Jaggi, Landmark Attention, arXiv 2305.16300 (passkey retrieval)",
                                 [](const RetrievalOptions& options) { return std::make_unique<Retrieval>(options); });
  registry.add<MultipleChoiceOptions>(
      "multiple_choice", "questions with answers to choose from, each scored by its likelihood",
      "EleutherAI lm-evaluation-harness",
      [](const MultipleChoiceOptions& options) { return std::make_unique<MultipleChoice>(options); });
  registry.add<WrittenAnswersOptions>(
      "generation", "questions whose answers the model writes", "EleutherAI lm-evaluation-harness",
      [](const WrittenAnswersOptions& options) { return std::make_unique<WrittenAnswers>(options); });
}

Registry<Evaluation> builtin_evaluations() {
  Registry<Evaluation> registry("evaluation");
  register_builtin_evaluations(registry);
  return registry;
}

}  // namespace lowbit
