#include <algorithm>

#include "calibration/windows.h"
#include "lowbit/base/error.h"
#include "lowbit/base/log.h"
#include "lowbit/base/random.h"
#include "lowbit/calibration/calibration_set.h"
#include "lowbit/data/dataset.h"

namespace lowbit {
namespace {

using Sequences = std::vector<std::vector<TokenId>>;

void draw_part(const CalibrationPart& part, std::int64_t samples, std::int64_t length, const DatasetCatalog& datasets,
               const Tokenizer& tokenizer, std::uint64_t seed, Sequences& out) {
  const Corpus corpus = datasets.load(datasets.find(part.dataset), part.split);
  const std::vector<TokenId> ids = tokenizer.encode(corpus.joined());
  const auto tokens = static_cast<std::int64_t>(ids.size());
  if (tokens < length) {
    fail(ErrorCode::kData, "calibration: split '{}' of dataset '{}' has {} tokens, a sequence needs {}; lower 'length'",
         part.split, part.dataset, tokens, length);
  }
  // The corpus is named by its content, so that the path of a text file does not decide the draw.
  const Random random(seed, "calibration/" + corpus.hash.hex());
  const bool disjoint = tokens / length >= samples;
  if (!disjoint) {
    log::warn("calibration: split '{}' of dataset '{}' has {} tokens, fewer than {} sequences of {} need; they overlap",
              part.split, part.dataset, tokens, samples, length);
  }
  const std::vector<std::int64_t> offsets =
      disjoint ? draw_disjoint_windows(tokens, length, samples, random) : draw_windows(tokens, length, samples, random);
  for (const std::int64_t offset : offsets) out.emplace_back(ids.begin() + offset, ids.begin() + offset + length);
}

Hash hash_of_sequences(const Sequences& sequences) {
  Hasher hasher;
  hasher.add(sequences.size());
  for (const std::vector<TokenId>& ids : sequences) {
    hasher.add(ids.size()).add_bytes(ids.data(), ids.size() * sizeof(TokenId));
  }
  return hasher.finish();
}

}  // namespace

std::int64_t CalibrationSet::tokens() const {
  std::int64_t total = 0;
  for (const std::vector<TokenId>& ids : sequences) total += static_cast<std::int64_t>(ids.size());
  return total;
}

CalibrationSet draw_calibration(const CalibrationOptions& options, const DatasetCatalog& datasets,
                                const Tokenizer& tokenizer, std::uint64_t seed) {
  LOWBIT_ASSERT(!options.parts.empty() && options.samples > 0 && options.length > 0);
  const std::vector<std::int64_t> counts = samples_of_parts(options);
  Sequences drawn;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    draw_part(options.parts[i], counts[i], options.length, datasets, tokenizer, seed, drawn);
  }
  CalibrationSet set{.options = options, .seed = seed, .sequences = {}, .hash = {}};
  for (const std::int64_t i : draw_order(static_cast<std::int64_t>(drawn.size()), Random(seed, "calibration/order"))) {
    set.sequences.push_back(std::move(drawn[static_cast<std::size_t>(i)]));
  }
  set.hash = hash_of_sequences(set.sequences);
  return set;
}

}  // namespace lowbit
