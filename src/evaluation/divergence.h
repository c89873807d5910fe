#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "evaluation/logits.h"
#include "evaluation/protocol.h"
#include "lowbit/base/files.h"
#include "lowbit/base/hash.h"
#include "lowbit/base/work_folder.h"
#include "lowbit/containers/safetensors.h"
#include "lowbit/evaluation/evaluation.h"
#include "lowbit/evaluation/scorer.h"

namespace lowbit {

/// Keeps what the float model leaves for the comparison of others with it: its normalised final hidden states of every
/// scored position, [positions, hidden] float32, in one safetensors file. Logits, some hundred times as large, are
/// computed again from them. With a work folder the unfinished file lies there, and a later process goes on with it.
class ReferenceWriter : public ScoreObserver {
 public:
  /// Throws `kIo` when the disk has not enough room.
  ReferenceWriter(const std::filesystem::path& file, const std::filesystem::path& work_folder,
                  std::span<const ScoreRequest> requests, std::int64_t hidden_size);
  ~ReferenceWriter() override;
  void hidden(std::size_t request, const at::Tensor& states) override;
  [[nodiscard]] bool wants_logits() const override { return false; }
  [[nodiscard]] std::vector<std::byte> save(std::size_t request) override;
  [[nodiscard]] bool restore(std::size_t request, std::span<const std::byte> saved) override;
  /// The file appears under its name.
  void finish() { file_->commit(); }

 private:
  std::span<const ScoreRequest> requests_;
  std::int64_t hidden_size_;
  std::unique_ptr<WorkFolder> own_folder_;  // where no other was given
  std::unique_ptr<ResumableFile> file_;
  std::shared_ptr<const MappedFile> earlier_;  // what a killed process wrote
  bool in_place_ = false;                      // where this one writes too
  Hash last_;                                  // of the states of the last request
};

/// Compares each position's distribution with the float model's.
class DivergenceObserver : public ScoreObserver {
 public:
  /// Throws `kData` when the reference is missing or does not fit the requests and the baseline.
  DivergenceObserver(const std::filesystem::path& file, const Model& baseline, std::span<const ScoreRequest> requests);
  void logits(std::size_t request, std::int64_t first_row, const at::Tensor& rows) override;
  [[nodiscard]] std::vector<std::byte> save(std::size_t request) override;
  [[nodiscard]] bool restore(std::size_t request, std::span<const std::byte> saved) override;
  /// For each request its scored positions.
  [[nodiscard]] const std::vector<std::vector<RowDivergence>>& positions() const { return positions_; }

 private:
  const Model& baseline_;
  std::span<const ScoreRequest> requests_;
  std::shared_ptr<const SafetensorsFile> file_;
  at::Tensor states_;                         // [positions, hidden] float32, mapped
  std::vector<std::int64_t> first_position_;  // of each request
  std::vector<std::vector<RowDivergence>> positions_;
};

/// Adds the divergence's metrics to the result, and "kl", "top1", "delta_p" and "reference" (the item's value under the
/// float model) to its items, which stand for `units` in order.
void add_divergence(const std::vector<std::vector<RowDivergence>>& positions, std::span<const ScoredUnit> units,
                    EvaluationResult& result);

}  // namespace lowbit
