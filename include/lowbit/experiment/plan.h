#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"
#include "lowbit/experiment/experiment.h"
#include "lowbit/quantization/driver.h"

namespace lowbit LOWBIT_EXPORT {

/// Where a piece of work keeps what it computes with. Decided when the run is planned, by the experiment's memory mode
/// and limit; it changes no bit of a result.
struct MemoryPlacement {
  bool streamed = false;                                ///< evaluations: one block of weights at a time
  std::int64_t wave_tokens = 1 << 16;                   ///< tokens that pass a streamed model's blocks together
  std::int64_t held_bytes = DriverMemory{}.held_bytes;  ///< quantizations: see `DriverMemory`
  bool spill_streams = false;
};

/// The same for one piece of work outside a run; `set` may be null for a recipe that needs no data, `tokens` more than
/// there are.
[[nodiscard]] MemoryPlacement place_quantization(const Architecture& architecture, const ComputeConfig& compute,
                                                 const Recipe& recipe, const CalibrationSet* set);
[[nodiscard]] MemoryPlacement place_evaluation(const Architecture& architecture, const ComputeConfig& compute,
                                               std::int64_t tokens, bool compared, bool cached = false,
                                               bool writes = false);

/// What a process holds in the phase in which it holds most.
struct MemoryPeak {
  std::string phase;
  std::vector<std::pair<std::string, std::int64_t>> terms;  ///< what for, and bytes
  [[nodiscard]] std::int64_t bytes() const;
};

/// One piece of work: making an artifact, or running one evaluation on one model. Done once for all cells that share
/// it; its key decides whether the store has it already.
struct WorkItem {
  enum class Kind { kQuantize, kEvaluate };
  Kind kind = Kind::kEvaluate;
  std::string key;  ///< 32 hexadecimal digits
  int model = 0;    ///< indices into the experiment's lists; -1 where the item does not depend on it
  int recipe = -1;  ///< -1: the float model
  int calibration = -1;
  int evaluation = -1;
  std::int64_t seed = 0;
  std::string artifact_key;   ///< of what an evaluation runs on; empty for the float model
  std::string reference_key;  ///< of the float model's states that an evaluation is compared with; may be empty
  std::string title;          ///< "quantize gptq-w4g64 (calibration wordnet, seed 0)"
  std::int64_t tokens = 0;    ///< to be run through the model
  double estimated_seconds = 0;
  std::int64_t estimated_memory = 0;  ///< bytes at the peak
  MemoryPeak peak;                    ///< what they are for; not kept in plan files
  MemoryPlacement placement;
  bool shares_statistics = false;   ///< with other quantizations of the run, see `QuantizeRequest::statistics`
  std::int64_t estimated_disk = 0;  ///< bytes written
  bool done = false;                ///< the store has it
};

/// A point of the grid: which items it needs.
struct Cell {
  int model = 0;
  int recipe = -1;       ///< -1: the baseline
  int calibration = -1;  ///< -1: the recipe needs none
  int evaluation = 0;
  std::int64_t seed = 0;
  std::string item;      ///< key of its evaluation item
  std::string artifact;  ///< key of its quantize item, or empty
};

/// Documents of a calibration set's dataset that also stand in what an evaluation scores.
struct CalibrationOverlap {
  std::string calibration, dataset, split;
  std::string evaluation;      ///< label
  std::int64_t documents = 0;  ///< of the dataset's split, within the groups
  std::int64_t whole = 0;      ///< that are items of the test
  std::int64_t run = 0;        ///< that share a run of words with one
  std::int64_t ngram = 0;      ///< words of such a run
  bool excluded = false;       ///< left out before anything was drawn
  /// "piqa (piqa validation, 1838 documents): ..."
  [[nodiscard]] std::string text() const;
};

struct Plan {
  std::vector<WorkItem> items;  ///< in an order that respects what needs what
  std::vector<Cell> cells;
  std::vector<ModuleOrigin> plugins;  ///< whose modules do the work: a worker must have the very same
  std::vector<CalibrationOverlap> overlaps;
  /// How busy the machine was while it was measured: elapsed over used time of the cores; 1 on an idle one.
  double busy = 1;
  [[nodiscard]] const WorkItem* find(const std::string& key) const;
};

/// Reads tokenizers, fingerprints and calibration texts, no weights. Throws `kConfig` / `kData`.
[[nodiscard]] Plan make_plan(const Experiment& experiment, const Resources& resources);

/// Entries of the store, by key. Immutable: a folder or file under its final name is whole.
class Store {
 public:
  explicit Store(std::filesystem::path folder);
  [[nodiscard]] std::filesystem::path artifact(const std::string& key) const;
  [[nodiscard]] std::filesystem::path result(
      const std::string& key) const;  ///< JSON of an evaluation or a quantization
  [[nodiscard]] std::filesystem::path reference(const std::string& key) const;  ///< folder of float states
  [[nodiscard]] std::filesystem::path failure(const std::string& key) const;
  [[nodiscard]] std::filesystem::path log(const std::string& key) const;
  /// Holds a folder an unfinished evaluation, by its key.
  [[nodiscard]] std::filesystem::path unfinished() const;
  [[nodiscard]] bool has(const WorkItem& item) const;
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
};

}  // namespace lowbit
