#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/error.h"

namespace lowbit::fuzzing {

/// One reader of foreign bytes, as `read` exercises it: whatever the input, it returns or throws an `Error` of one of
/// `codes`. What else happens (another exception, a signal, a report of a sanitizer, more memory or time than allowed)
/// is a finding.
struct Target {
  void (*read)(std::string_view input);
  /// Whole inputs of the reader's format, made from tests/golden or by our own writers.
  std::vector<std::string> (*seeds)();
  /// Pieces that texts of the format are made of.
  std::vector<std::string> words = {};
  /// Makes the frame around a changed input whole again (a length in front, say), so that changes reach what is behind.
  void (*repair)(std::string& input) = nullptr;
  std::vector<ErrorCode> codes = {ErrorCode::kData, ErrorCode::kUnsupported};
  /// Bytes that may be allocated at once for a small input; twice the input where that is more.
  std::size_t memory = std::size_t{1} << 20;
};

/// Each target's own.
[[nodiscard]] const Target& target();

/// The input as a file that lies in memory only.
class InputFile {
 public:
  explicit InputFile(std::string_view content);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  int descriptor_;
  std::filesystem::path path_;
};

/// A file of tests/golden, or of the source tree where `path` starts with "../".
[[nodiscard]] std::string golden(const std::string& path);

/// Writes the target's seeds into a folder, a file each.
void write_seeds(const std::filesystem::path& folder);

/// Ends the process with a message, as a finding.
[[noreturn]] void report(std::string_view finding);

}  // namespace lowbit::fuzzing
