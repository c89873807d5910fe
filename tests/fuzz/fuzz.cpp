#include "fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "lowbit/base/files.h"
#include "support/source_folder.h"

namespace lowbit::fuzzing {

InputFile::InputFile(std::string_view content) : descriptor_(::memfd_create("input", MFD_CLOEXEC)) {
  if (descriptor_ < 0 || ::write(descriptor_, content.data(), content.size()) != static_cast<ssize_t>(content.size())) {
    report("the harness cannot write its input");
  }
  path_ = "/proc/self/fd/" + std::to_string(descriptor_);
}

InputFile::~InputFile() { ::close(descriptor_); }

std::string golden(const std::string& path) {
  return read_file(testing::source_folder() / "tests/golden" / path);
}

void write_seeds(const std::filesystem::path& folder) {
  make_folders(folder);
  int number = 0;
  for (const std::string& seed : target().seeds()) {
    write_file_atomically(folder / fmt::format("seed-{}", number++), seed);
  }
}

void report(std::string_view finding) {
  std::fprintf(stderr, "finding: %.*s\n", static_cast<int>(finding.size()), finding.data());
  std::abort();
}

}  // namespace lowbit::fuzzing
