// Runs a target on its seeds and on a fixed number of changes of them, the same on every machine.
#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fuzz/fuzz.h"
#include "fuzz/mutator.h"
#include "lowbit/base/files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace lowbit::fuzzing {
namespace {

// Seconds of processor time for one input, which sanitizers make a good deal slower.
constexpr long kMostSeconds = 5;

constexpr const char* kHelp =
    "Usage: <reader>_fuzz [--inputs N | --input I | FILE...]\n"
    "  --inputs N   the seeds, and N changes of them\n"
    "  --input I    only the I-th change\n"
    "  FILE...      these inputs, such as the 'failing-input' that a finding leaves in the current folder\n";

std::string current_input;

// Called while the process dies, so with plain system calls.
void save_input() {
  const int file = ::open("failing-input", O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file < 0) return;
  if (::write(file, current_input.data(), current_input.size()) >= 0) {
    constexpr std::string_view kNote = "the input was written to 'failing-input'\n";
    (void)!::write(STDERR_FILENO, kNote.data(), kNote.size());
  }
  ::close(file);
}

void on_signal(int signal) {
  constexpr std::string_view kNote = "finding: an input takes too long\n";
  if (signal == SIGPROF) (void)!::write(STDERR_FILENO, kNote.data(), kNote.size());
  save_input();
  ::_exit(1);
}

void run(std::string input) {
  current_input = std::move(input);
  const itimerval limit = {{0, 0}, {kMostSeconds, 0}};
  ::setitimer(ITIMER_PROF, &limit, nullptr);
  // A copy of the exact size, so that a sanitizer sees what is read behind its end.
  const std::vector<std::uint8_t> bytes(current_input.begin(), current_input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

std::string change(Mutator& mutator, std::uint64_t number) {
  std::string input = mutator.make(number);
  if (target().repair != nullptr && number % 4 != 0) target().repair(input);
  return input;
}

int run_all(const std::vector<std::string>& seeds, std::uint64_t inputs) {
  Mutator mutator(seeds, target().words);
  for (const std::string& seed : seeds) run(seed);
  for (std::uint64_t number = 0; number < inputs; ++number) run(change(mutator, number));
  std::printf("%zu seeds and %llu changes of them: no finding\n", seeds.size(),
              static_cast<unsigned long long>(inputs));
  return 0;
}

int drive(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0] == "--help") {
    std::fputs(kHelp, stdout);
    return arguments.empty() ? 2 : 0;
  }
  const std::vector<std::string> seeds = target().seeds();
  const std::string value = arguments.size() > 1 ? arguments[1] : "";
  if (arguments[0] == "--inputs") return run_all(seeds, std::strtoull(value.c_str(), nullptr, 10));
  if (arguments[0] == "--input") {
    Mutator mutator(seeds, target().words);
    run(change(mutator, std::strtoull(value.c_str(), nullptr, 10)));
    return 0;
  }
  for (const std::string& file : arguments) run(read_file(file));
  return 0;
}

}  // namespace
}  // namespace lowbit::fuzzing

int main(int count, char** values) {
  using namespace lowbit::fuzzing;  // NOLINT(google-build-using-namespace)
  __sanitizer_set_death_callback(save_input);
  std::signal(SIGPROF, on_signal);
  std::signal(SIGABRT, on_signal);
  try {
    return drive({values + 1, values + count});
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "%s\n", problem.what());
    return 2;
  }
}
