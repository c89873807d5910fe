#include "experiment/cache_use.h"

#include <fmt/format.h>

#include <algorithm>

namespace lowbit {

void check_cache_use(const Experiment& experiment, ConfigProblems& problems) {
  const auto& evaluations = experiment.evaluations;
  if (std::any_of(evaluations.begin(), evaluations.end(),
                  [](const EvaluationEntry& entry) { return entry.evaluation->uses_cache(); })) {
    return;
  }
  for (const RecipeEntry& entry : experiment.recipes) {
    if (!entry.recipe || !entry.recipe->kv_cache_record()) continue;
    problems.add(entry.mark,
                 fmt::format("'{}' of recipe '{}' rounds the KV cache, and no evaluation reads from one; give a "
                             "perplexity a 'prefill', such as {{perplexity: {{dataset: wordnet, protocol: gptq-512, "
                             "prefill: 256}}}}, or add {{retrieval: {{}}}}",
                             entry.recipe->kv_cache_record()->name, entry.name));
  }
}

}  // namespace lowbit
