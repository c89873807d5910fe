#include "quantization/driver/statistics_cache.h"

#include "lowbit/base/error.h"

namespace lowbit {

const Statistics& StatisticsCache::get(Stream stream, std::string_view group) {
  const auto index = static_cast<std::size_t>(stream);
  auto& known = known_[index];
  if (known.find(group) == known.end()) {
    StatisticsNeeds needs = needs_[index];
    if (!needs.any())
      fail(ErrorCode::kInternal, "group '{}': a step asks for statistics that it has not declared", group);
    needs.stream = stream;
    for (auto& [name, statistics] : collect_(needs)) known.emplace(name, std::move(statistics));  // keeps what is there
  }
  const auto found = known.find(group);
  if (found == known.end()) fail(ErrorCode::kInternal, "a step asks for statistics of an unknown group '{}'", group);
  return found->second;
}

void StatisticsCache::apply(const std::vector<StatisticsEffect>& effects) {
  for (const StatisticsEffect& effect : effects) {
    apply(effect, 0);
    apply(effect, 1);
  }
}

void StatisticsCache::apply(const StatisticsEffect& effect, std::size_t stream) {
  const std::string& group = std::visit([](const auto& change) -> const std::string& { return change.group; }, effect);
  auto& known = known_[stream];
  const auto found = known.find(group);
  if (found == known.end()) return;
  const StatisticsNeeds& needs = found->second.needs();
  const bool survives = !needs.histogram && !needs.chunk_range;
  if (const auto* diagonal = std::get_if<DiagonalMap>(&effect); diagonal != nullptr && survives) {
    found->second.apply_diagonal(diagonal->scale);
    return;
  }
  const auto* rotation = std::get_if<RotationMap>(&effect);
  if (rotation != nullptr && survives && !needs.channel_range) {
    found->second.apply_rotation(rotation->rotation);
    return;
  }
  known.erase(found);
}

}  // namespace lowbit
