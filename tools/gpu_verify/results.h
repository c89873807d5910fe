#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace lowbit::gpu_verify {

/// One case's record, in the order of its fields: a line of JSON.
class Record {
 public:
  Record& text(const std::string& key, const std::string& value);
  Record& number(const std::string& key, double value);  ///< null when it is not finite
  Record& flag(const std::string& key, bool value);
  [[nodiscard]] std::string json() const;

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

/// A file of one line a case, each written and flushed when its case ends: what ran before a machine is taken back
/// stands.
class Results {
 public:
  /// Truncates. Throws `kIo` when the file cannot be written.
  explicit Results(std::filesystem::path path);
  void write(const Record& record);
  [[nodiscard]] int failures() const { return failures_; }
  /// Writes the record with "pass", and counts it when it did not.
  void write_check(Record record, bool passed);

 private:
  std::filesystem::path path_;
  int failures_ = 0;
};

}  // namespace lowbit::gpu_verify
