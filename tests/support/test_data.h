#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "support/source_folder.h"

namespace lowbit::testing {

/// A file or folder of the shared test data: under $LOWBIT_TEST_DATA, else under "../shared" beside the checkout.
/// Nothing when it is not there; the test then skips: if (!path) GTEST_SKIP() << "no models/x in the test data".
inline std::optional<std::filesystem::path> shared_data(const std::string& relative) {
  const char* root = std::getenv("LOWBIT_TEST_DATA");
  const std::filesystem::path folder = root != nullptr && *root != '\0'
                                           ? std::filesystem::path(root)
                                           : source_folder().parent_path() / "shared";
  std::error_code error;
  const std::filesystem::path path = folder / relative;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  return path;
}

/// A fresh, empty folder for one test, removed with its content at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lowbit-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace lowbit::testing
