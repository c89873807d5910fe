// The entry point that libFuzzer and our own driver share: runs a target under its bounds.
#include <sanitizer/asan_interface.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <typeinfo>

#include "fuzz/fuzz.h"

// From sanitizer/allocator_interface.h, a header that GCC's runtime of the same functions comes without.
extern "C" {
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, std::size_t),
                                              void (*on_free)(const volatile void*));
std::size_t __sanitizer_get_allocated_size(const volatile void* pointer);
}

namespace lowbit::fuzzing {
namespace {

// Counts what is allocated by whomever, libraries in C too, while a target runs. Plain numbers: a target has one
// thread.
bool counting = false;
std::int64_t live_bytes = 0;
std::int64_t peak_bytes = 0;

void count_allocation(const volatile void*, std::size_t size) {
  if (!counting) return;
  live_bytes += static_cast<std::int64_t>(size);
  peak_bytes = std::max(peak_bytes, live_bytes);
}

void count_release(const volatile void* pointer) {
  if (!counting || pointer == nullptr) return;
  live_bytes -= static_cast<std::int64_t>(__sanitizer_get_allocated_size(pointer));
}

void run(const Target& reader, std::string_view input) {
  try {
    reader.read(input);
  } catch (const Error& error) {
    if (std::find(reader.codes.begin(), reader.codes.end(), error.code()) != reader.codes.end()) return;
    report(fmt::format("an error of the wrong kind ({}): {}", static_cast<int>(error.code()), error.what()));
  } catch (const std::exception& problem) {
    report(fmt::format("{} escapes: {}", typeid(problem).name(), problem.what()));
  }
}

}  // namespace
}  // namespace lowbit::fuzzing

// The bytes between a mapped file's end and the end of its last page can be read without a fault, but never should be.
extern "C" {
void* __real_mmap(void* address, std::size_t size, int protection, int flags, int descriptor, off_t offset);
int __real_munmap(void* address, std::size_t size);

static std::size_t rest_of_page(std::size_t size) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (page - size % page) % page;
}

void* __wrap_mmap(void* address, std::size_t size, int protection, int flags, int descriptor, off_t offset) {
  void* mapped = __real_mmap(address, size, protection, flags, descriptor, offset);
  if (mapped != MAP_FAILED) ASAN_POISON_MEMORY_REGION(static_cast<char*>(mapped) + size, rest_of_page(size));
  return mapped;
}

int __wrap_munmap(void* address, std::size_t size) {
  ASAN_UNPOISON_MEMORY_REGION(address, size + rest_of_page(size));
  return __real_munmap(address, size);
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lowbit::fuzzing;  // NOLINT(google-build-using-namespace)
  static const Target& reader = target();
  static const bool hooked = __sanitizer_install_malloc_and_free_hooks(count_allocation, count_release) > 0;
  if (!hooked) report("the harness cannot count allocations");
  live_bytes = peak_bytes = 0;
  counting = true;
  run(reader, {reinterpret_cast<const char*>(data), size});
  counting = false;
  const std::size_t allowed = std::max(2 * size, reader.memory);
  if (peak_bytes > static_cast<std::int64_t>(allowed)) {
    report(fmt::format("{} bytes of input took {} bytes of memory, allowed are {}", size, peak_bytes, allowed));
  }
  return 0;
}
}
