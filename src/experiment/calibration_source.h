#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "lowbit/calibration/calibration_set.h"
#include "lowbit/experiment/plan.h"

namespace lowbit {

/// Draws an experiment's calibration sets, without what its evaluations score where the experiment says so. Planner and
/// worker draw by it, so that both see the same tokens.
class CalibrationSource {
 public:
  /// Both must outlive it.
  CalibrationSource(const Experiment& experiment, const DatasetCatalog& datasets)
      : experiment_(experiment), datasets_(datasets) {}

  [[nodiscard]] CalibrationSet draw(int calibration, std::int64_t seed, const Tokenizer& tokenizer);
  /// Of all calibration sets with all evaluations; none when no recipe calibrates or overlaps are ignored.
  [[nodiscard]] std::vector<CalibrationOverlap> overlaps();

 private:
  [[nodiscard]] const OverlapIndex& index();
  const Experiment& experiment_;
  const DatasetCatalog& datasets_;
  std::unique_ptr<const OverlapIndex> index_;
  struct LastTexts {
    int calibration;
    CalibrationTexts texts;
  };
  std::optional<LastTexts> texts_;  // the seeds of one set are drawn one after the other
};

}  // namespace lowbit
