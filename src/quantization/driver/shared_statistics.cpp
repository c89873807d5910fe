#include "quantization/driver/shared_statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lowbit/base/files.h"
#include "lowbit/base/hash.h"
#include "lowbit/base/work_folder.h"
#include "quantization/driver/compute_key.h"

namespace lowbit {
namespace {

// Raised when the same tokens give other statistics.
constexpr int kStatisticsVersion = 1;

std::string key_of(const QuantizeRequest& request, const StatisticsNeeds& needs) {
  Hasher hasher;
  hasher.add(kStatisticsVersion).add(request.model->weights().fingerprint()).add(request.calibration->hash);
  return add_compute(hasher, request.model->options()).add(needs.hessian).add(needs.channel_range).finish().hex();
}

}  // namespace

bool shares_statistics(const Recipe& recipe) {
  const DriverOptions& driver = recipe.driver();
  const StatisticsNeeds needs = recipe.needs();
  const bool only_solvers = std::all_of(recipe.steps().begin(), recipe.steps().end(),
                                        [](const RecipeStep& step) { return step.family == "solver"; });
  return only_solvers && needs.any() && can_be_stored(needs) && !driver.true_sequential && !driver.propagate_quantized;
}

std::unique_ptr<SharedStatistics> SharedStatistics::open(const QuantizeRequest& request) {
  if (request.statistics.empty() || !shares_statistics(*request.recipe)) return nullptr;
  StatisticsNeeds needs = request.recipe->needs();
  needs.stream = Stream::kFloat;
  const std::filesystem::path folder = request.statistics / key_of(request, needs);
  make_folders(folder);
  remove_abandoned_writes(folder);
  return std::unique_ptr<SharedStatistics>(
      new SharedStatistics(folder, needs, request.model->weights().architecture().layers));
}

SharedStatistics::SharedStatistics(std::filesystem::path folder, StatisticsNeeds needs, std::int64_t blocks)
    : folder_(std::move(folder)), needs_(needs) {
  for (std::int64_t block = 0; block < blocks; ++block) complete_ = complete_ && has(block);
}

std::filesystem::path SharedStatistics::file(std::int64_t block) const {
  return folder_ / fmt::format("block-{:05}.safetensors", block);
}

bool SharedStatistics::has(std::int64_t block) const {
  std::error_code error;
  return std::filesystem::exists(file(block), error);
}

StatisticsByGroup SharedStatistics::read(std::int64_t block) const {
  return read_statistics(file(block), needs_.stream);
}

void SharedStatistics::write(std::int64_t block, const StatisticsByGroup& statistics) const {
  write_statistics(file(block), statistics);
}

}  // namespace lowbit
