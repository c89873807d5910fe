#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <thread>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/work_folder.h"

namespace lowbit {
namespace {

constexpr std::string_view kPart = ".part-";
constexpr std::size_t kPartDigits = 6;
constexpr std::uint64_t kEarlyBytes = std::uint64_t{8} << 20;

std::string system_message(int error) { return std::system_category().message(error); }

void flush_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

bool same_file(int descriptor, const std::filesystem::path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(descriptor, &opened) == 0 && ::stat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
         opened.st_dev == named.st_dev;
}

// False when another process holds it. A file system without locks is taken as free.
bool try_lock(int descriptor) { return ::flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK; }

// A locked temporary; `pattern` becomes its name. Between making and locking it may be taken for abandoned and go away.
int open_temporary(std::string& pattern) {
  const std::string original = pattern;
  while (true) {
    pattern = original;
    const int descriptor = ::mkostemp(pattern.data(), O_CLOEXEC);
    if (descriptor < 0 || (try_lock(descriptor) && same_file(descriptor, pattern))) return descriptor;
    ::close(descriptor);
  }
}

bool is_temporary(const std::string& name, std::string_view of) {
  const std::size_t tail = kPart.size() + kPartDigits;
  if (name.size() <= tail + 1 || name.front() != '.') return false;
  if (name.compare(name.size() - tail, kPart.size(), kPart) != 0) return false;
  return of.empty() || std::string_view(name).substr(1, name.size() - tail - 1) == of;
}

void remove_if_abandoned(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return;
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0 && same_file(descriptor, path)) ::unlink(path.c_str());
  ::close(descriptor);
}

void write_all(int descriptor, std::uint64_t position, const void* data, std::size_t size,
               const std::filesystem::path& path) {
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t count = ::pwrite(descriptor, next, size, static_cast<off_t>(position));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(ErrorCode::kIo, "cannot write '{}': {}", path.string(), system_message(errno));
    next += count;
    size -= static_cast<std::size_t>(count);
    position += static_cast<std::uint64_t>(count);
  }
}

// Whole on the disk first, then under its name.
void put_in_place(int descriptor, const std::filesystem::path& part, const std::filesystem::path& path) {
  if (::fsync(descriptor) != 0) fail(ErrorCode::kIo, "cannot write '{}': {}", path.string(), system_message(errno));
  if (::rename(part.c_str(), path.c_str()) != 0) {
    fail(ErrorCode::kIo, "cannot rename '{}' to '{}': {}", part.string(), path.string(), system_message(errno));
  }
  flush_folder(path.parent_path());
}

// The locked folder, or -1 when another process holds it. One that its holder removed meanwhile is made again.
int take_folder(const std::filesystem::path& path) {
  while (true) {
    make_folders(path);
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0 && errno == ENOENT) continue;
    if (descriptor < 0) fail(ErrorCode::kIo, "cannot open '{}': {}", path.string(), system_message(errno));
    const bool locked = try_lock(descriptor);
    if (locked && same_file(descriptor, path)) return descriptor;
    ::close(descriptor);
    if (!locked) return -1;
  }
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  std::string name = (path_.parent_path() / fmt::format(".{}{}XXXXXX", path_.filename().string(), kPart)).string();
  descriptor_ = open_temporary(name);
  if (descriptor_ < 0) fail(ErrorCode::kIo, "cannot write '{}': {}", path_.string(), system_message(errno));
  temporary_ = name;
  ::fchmod(descriptor_, 0644);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, std::size_t size) {
  write_all(descriptor_, size_, data, size, path_);
  size_ += size;
  // The disk works while more is computed, and `commit` waits less. No promise, so that errors are of no interest.
  if (size_ - on_its_way_ < kEarlyBytes) return;
  (void)::sync_file_range(descriptor_, static_cast<off_t>(on_its_way_), static_cast<off_t>(size_ - on_its_way_),
                          SYNC_FILE_RANGE_WRITE);
  on_its_way_ = size_;
}

void AtomicFile::commit() {
  put_in_place(descriptor_, temporary_, path_);
  ::close(descriptor_);
  descriptor_ = -1;
  temporary_.clear();
}

ResumableFile::ResumableFile(std::filesystem::path path, std::filesystem::path part)
    : path_(std::move(path)), part_(std::move(part)) {
  descriptor_ = ::open(part_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail(ErrorCode::kIo, "cannot write '{}': {}", part_.string(), system_message(errno));
}

ResumableFile::~ResumableFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void ResumableFile::write(const void* data, std::size_t size) {
  write_all(descriptor_, size_, data, size, path_);
  size_ += size;
}

void ResumableFile::commit() {
  if (::ftruncate(descriptor_, static_cast<off_t>(size_)) != 0) {
    fail(ErrorCode::kIo, "cannot write '{}': {}", path_.string(), system_message(errno));
  }
  put_in_place(descriptor_, part_, path_);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

void remove_abandoned_writes(const std::filesystem::path& folder, std::string_view file) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder.empty() ? "." : folder, error)) {
    if (is_temporary(entry.path().filename().string(), file)) remove_if_abandoned(entry.path());
  }
}

std::filesystem::path WorkFolder::numbered(int number) const {
  return number == 1 ? first_ : std::filesystem::path(fmt::format("{}-{}", first_.string(), number));
}

WorkFolder::WorkFolder(const std::filesystem::path& parent, std::string_view key, std::chrono::milliseconds patience)
    : first_(parent / key), path_(first_) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  descriptor_ = take_folder(path_);
  while (descriptor_ < 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    descriptor_ = take_folder(path_);
  }
  for (int number = 2; descriptor_ < 0; ++number) {
    path_ = numbered(number);
    descriptor_ = take_folder(path_);
  }
}

WorkFolder::~WorkFolder() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void WorkFolder::remove() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  for (int number = 1; number == 1 || std::filesystem::exists(numbered(number), ignored); ++number) {
    if (!std::filesystem::exists(numbered(number), ignored)) continue;
    const int descriptor = take_folder(numbered(number));
    if (descriptor < 0) continue;
    std::filesystem::remove_all(numbered(number), ignored);
    ::close(descriptor);
  }
}

}  // namespace lowbit
