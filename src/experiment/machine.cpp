#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>

#include "experiment/machine.h"
#include "lowbit/base/files.h"
#include "lowbit/experiment/results.h"
#include "lowbit/tensor/environment.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

// The value behind "<key> : value" in one of Linux's text files; empty when it is not there.
std::string proc_value(const char* file, std::string_view key) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "";
}

std::int64_t proc_kibibytes(const char* file, std::string_view key) {
  const std::string value = proc_value(file, key);
  return value.empty() ? 0 : std::stoll(value) * 1024;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> machine_facts() {
  utsname system{};
  ::uname(&system);
  return {{"cpu", proc_value("/proc/cpuinfo", "model name")},
          {"cores", std::to_string(::sysconf(_SC_NPROCESSORS_ONLN))},
          {"threads", std::to_string(thread_count())},
          {"memory", format_bytes(static_cast<std::uint64_t>(proc_kibibytes("/proc/meminfo", "MemTotal")))},
          {"system", fmt::format("{} {}", system.sysname, system.release)}};
}

std::vector<std::pair<std::string, std::string>> build_facts() {
  return {{"lowbit", LOWBIT_VERSION},
          {"compiler", fmt::format("GCC-compatible {}", __VERSION__)},
          {"libtorch", torch_version()},
          {"instruction set", cpu_capability()}};
}

ResidentMemory resident_memory() {
  constexpr const char* kStatus = "/proc/self/status";
  return {proc_kibibytes(kStatus, "RssAnon"), proc_kibibytes(kStatus, "RssFile") + proc_kibibytes(kStatus, "RssShmem")};
}

std::int64_t available_memory_bytes() { return proc_kibibytes("/proc/meminfo", "MemAvailable"); }

MemoryWatch::MemoryWatch()
    : thread_([this] {
        while (!over_) {
          look();
          std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
      }) {}

MemoryWatch::~MemoryWatch() {
  over_ = true;
  thread_.join();
}

void MemoryWatch::look() {
  const std::int64_t now = resident_memory().anonymous;
  std::int64_t known = peak_anonymous_;
  while (now > known && !peak_anonymous_.compare_exchange_weak(known, now)) {
  }
}

std::int64_t MemoryWatch::peak_anonymous() {
  look();
  return peak_anonymous_;
}

}  // namespace lowbit
