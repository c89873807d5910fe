#include "experiment/calibration_source.h"

#include <algorithm>

#include "lowbit/base/error.h"

namespace lowbit {

void OverlapRule::visit(FieldVisitor& v) {
  v.choice("mode", mode, {"list", "exclude", "ignore"},
           "calibration documents that stand in what is scored: named in the results, left out, or not looked for");
  v.field("ngram", ngram, "words in a row that count as shared; a Chinese character counts as a word", {4, 1000});
}

std::string CalibrationOverlap::text() const {
  return fmt::format(
      "calibration set '{}': of the {} documents of '{}' ({}), {} are items of '{}' and {} more share {} words in a "
      "row "
      "with one; {}",
      calibration, documents, dataset, split, whole, evaluation, run, ngram,
      excluded ? "they were left out" : "they could be drawn ('overlap: {mode: exclude}' leaves them out)");
}

const OverlapIndex& CalibrationSource::index() {
  if (index_ != nullptr) return *index_;
  auto index = std::make_unique<OverlapIndex>(static_cast<std::size_t>(experiment_.overlap.ngram));
  for (const EvaluationEntry& entry : experiment_.evaluations) {
    index->add(entry.evaluation->label(), entry.evaluation->texts(datasets_));
  }
  index_ = std::move(index);
  return *index_;
}

CalibrationSet CalibrationSource::draw(int calibration, std::int64_t seed, const Tokenizer& tokenizer) {
  if (!texts_ || texts_->calibration != calibration) {
    const bool exclude = experiment_.overlap.mode == OverlapRule::Mode::kExclude;
    texts_.reset();  // before the next ones are there
    texts_.emplace(calibration, calibration_texts(experiment_.calibrations[static_cast<std::size_t>(calibration)],
                                                  datasets_, exclude ? &index() : nullptr));
  }
  return draw_calibration(texts_->texts, tokenizer, static_cast<std::uint64_t>(seed));
}

std::vector<CalibrationOverlap> CalibrationSource::overlaps() {
  const auto calibrates = [](const RecipeEntry& entry) { return entry.recipe && entry.recipe->needs_calibration(); };
  if (experiment_.overlap.mode == OverlapRule::Mode::kIgnore ||
      std::none_of(experiment_.recipes.begin(), experiment_.recipes.end(), calibrates)) {
    return {};
  }
  std::vector<CalibrationOverlap> found;
  for (const CalibrationOptions& options : experiment_.calibrations) {
    for (const CalibrationPart& part : options.parts) {
      const Corpus corpus = calibration_corpus(part, datasets_);
      for (const OverlapCount& count : count_overlaps(corpus, index())) {
        found.push_back({.calibration = options.name,
                         .dataset = part.dataset,
                         .split = part.split,
                         .evaluation = count.test,
                         .documents = static_cast<std::int64_t>(corpus.documents.size()),
                         .whole = count.whole,
                         .run = count.run,
                         .ngram = experiment_.overlap.ngram,
                         .excluded = experiment_.overlap.mode == OverlapRule::Mode::kExclude});
      }
    }
  }
  return found;
}

}  // namespace lowbit
