#include "lowbit/quantization/recipe.h"
#include "quantization/solvers/easyquant.h"
#include "quantization/solvers/gptq.h"
#include "quantization/solvers/hqq.h"
#include "quantization/solvers/rtn.h"
#include "quantization/solvers/spqr.h"
#include "quantization/solvers/zeroquant.h"

namespace lowbit {

void register_builtin_solvers(Registry<WeightSolver>& registry) {
  registry.add<RtnOptions>("rtn", "round to nearest, without data", "",
                           [](const RtnOptions& options) { return std::make_unique<RtnSolver>(options); });
  registry.add<GptqOptions>("gptq", "least output error on calibration inputs, column after column",
                            "Frantar et al., GPTQ, arXiv 2210.17323",
                            [](const GptqOptions& options) { return std::make_unique<GptqSolver>(options); });
  registry.add<GptaqOptions>("gptaq", "gptq towards the float model's output on the float model's inputs",
                             "Li et al., GPTAQ, arXiv 2504.02692", [](const GptaqOptions& options) {
                               return std::make_unique<GptqSolver>(options.gptq, options.alpha);
                             });
  registry.add<HqqOptions>("hqq", "real zeros by half-quadratic splitting, without data",
                           "Badri and Shaji, Half-Quadratic Quantization, 2023",
                           [](const HqqOptions& options) { return std::make_unique<HqqSolver>(options); });
  registry.add<EasyQuantOptions>("easyquant", "outliers kept and scales of least squared error, without data",
                                 "Tang et al., EasyQuant, arXiv 2403.02775", [](const EasyQuantOptions& options) {
                                   return std::make_unique<EasyQuantSolver>(options);
                                 });
  registry.add<ZeroQuantOptions>(
      "zeroquant", "group-wise symmetric rounding to nearest, without data", "Yao et al., ZeroQuant, arXiv 2206.01861",
      [](const ZeroQuantOptions& options) { return std::make_unique<RtnSolver>(options.rtn()); });
  registry.add<SpqrOptions>("spqr", "gptq on small groups with nested scales, costly weights kept beside the grid",
                            "Dettmers et al., SpQR, arXiv 2306.03078",
                            [](const SpqrOptions& options) { return std::make_unique<SpqrSolver>(options); });
}

QuantizationRegistries builtin_quantization() {
  QuantizationRegistries registries;
  register_builtin_solvers(registries.solvers);
  register_builtin_model_transforms(registries);
  register_builtin_block_steps(registries);
  register_builtin_executions(registries);
  register_builtin_kv_cache_steps(registries);
  return registries;
}

}  // namespace lowbit
