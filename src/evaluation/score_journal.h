#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <vector>

#include "lowbit/base/hash.h"
#include "lowbit/evaluation/scorer.h"

namespace lowbit {

/// The finished requests of one scoring pass, in a file that grows with each, so that a killed pass goes on behind
/// them. Each record carries its hash: what was cut off or damaged is scored again.
class ScoreJournal {
 public:
  struct Record {
    Score score;
    std::vector<std::byte> observed;  ///< what `ScoreObserver::save` gave
  };
  /// Reads what the file holds of this pass; the journal of another pass is begun anew. Throws `kIo`.
  ScoreJournal(const std::filesystem::path& file, const Hash& pass);
  ~ScoreJournal();
  ScoreJournal(const ScoreJournal&) = delete;
  ScoreJournal& operator=(const ScoreJournal&) = delete;
  /// By request.
  [[nodiscard]] const std::map<std::size_t, Record>& records() const { return records_; }
  void add(std::size_t request, const Score& score, std::span<const std::byte> observed);

 private:
  void append(std::span<const std::byte> bytes);
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::map<std::size_t, Record> records_;
};

}  // namespace lowbit
