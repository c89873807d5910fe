#include "lowbit/base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

std::string system_message(int error) { return std::system_category().message(error); }

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return value_; }
  [[nodiscard]] int release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

// Opens a regular file for reading and gives its size; a missing one is the user's data error.
Descriptor open_regular(const std::filesystem::path& path, std::uint64_t& size) {
  // Without O_NONBLOCK a named pipe would make us wait for a writer before it can be refused.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    const int error = errno;
    fail(error == ENOENT || error == ENOTDIR ? ErrorCode::kData : ErrorCode::kIo, "cannot open '{}': {}", path.string(),
         system_message(error));
  }
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    fail(ErrorCode::kData, "'{}' is not a regular file", path.string());
  }
  size = static_cast<std::uint64_t>(status.st_size);
  return Descriptor(descriptor);
}

}  // namespace

MappedFile::MappedFile(std::filesystem::path path, const std::byte* data, std::size_t size, int descriptor)
    : path_(std::move(path)), data_(data), size_(size), descriptor_(descriptor) {}

MappedFile::~MappedFile() {
  if (size_ > 0) ::munmap(const_cast<std::byte*>(data_), size_);
  ::close(descriptor_);
}

void MappedFile::copy_part(std::span<const std::byte> part, std::byte* out) const {
  LOWBIT_ASSERT(part.empty() || (part.data() >= data_ && part.data() + part.size() <= data_ + size_));
  while (!part.empty()) {
    const ssize_t count = ::pread(descriptor_, out, part.size(), part.data() - data_);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(ErrorCode::kIo, "cannot read '{}': {}", path_.string(), system_message(errno));
    if (count == 0) {
      fail(ErrorCode::kData,
           "'{}' ends at byte {} and had {} bytes when it was opened; leave it as it is while it is read",
           path_.string(), part.data() - data_, size_);
    }
    part = part.subspan(static_cast<std::size_t>(count));
    out += count;
  }
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  std::uint64_t size = 0;
  Descriptor descriptor = open_regular(path, size);
  const std::byte* data = nullptr;
  if (size > 0) {
    void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
    if (mapped == MAP_FAILED) fail(ErrorCode::kIo, "cannot map '{}': {}", path.string(), system_message(errno));
    data = static_cast<const std::byte*>(mapped);
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(path, data, size, descriptor.release()));
}

std::string read_file(const std::filesystem::path& path, std::uint64_t limit) {
  std::uint64_t size = 0;
  const Descriptor descriptor = open_regular(path, size);
  if (size > limit) {
    fail(ErrorCode::kData, "'{}' has {}, expected at most {}", path.string(), format_bytes(size), format_bytes(limit));
  }
  std::string content(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = ::read(descriptor.get(), content.data() + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(ErrorCode::kIo, "cannot read '{}': {}", path.string(), system_message(errno));
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  content.resize(done);
  return content;
}

void make_folders(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail(ErrorCode::kIo, "cannot make the folder '{}': {}", path.string(), error.message());
}

std::uint64_t free_disk_bytes(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::path existing = std::filesystem::absolute(path, error);
  while (!existing.empty() && !std::filesystem::exists(existing, error) && existing != existing.parent_path()) {
    existing = existing.parent_path();
  }
  const auto space = std::filesystem::space(existing, error);
  return error ? 0 : space.available;
}

std::filesystem::path user_cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/') {
    return std::filesystem::path(cache) / "lowbit";
  }
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home != nullptr ? home : "/tmp") / ".cache" / "lowbit";
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  // 1023.5 would round to 1024, which is one of the next unit.
  while (value >= 1023.5 && unit + 1 < kUnits.size()) {
    value /= 1024.0;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  return value < 99.95 ? fmt::format("{:.1f} {}", value, kUnits[unit]) : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

}  // namespace lowbit
