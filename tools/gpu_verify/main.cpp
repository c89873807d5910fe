#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "lowbit/base/error.h"
#include "stages.h"

// Checks and measures lowbit's CUDA kernels on a machine that has a GPU and little else: neither a compiler nor lowbit.
namespace lowbit::gpu_verify {
namespace {

constexpr const char* kUsage =
    "Usage: lowbit_gpu_verify --stage <name> [options]\n"
    "  --stage <name>         smoke, correctness, repetition, benchmarks or profile\n"
    "  --library <file>       liblowbit_cuda.so; the one beside this program unless given\n"
    "  --cublas <file>        libcublas.so of another installation, the rival of benchmarks\n"
    "  --device <number>      0 unless given\n"
    "  --out <folder>         where <stage>.jsonl is written; the current one unless given\n"
    "  --filter <text>        only cases whose name, with a blank behind it, contains it\n"
    "  --entrant <text>       benchmarks: only entrants whose name contains it, or one of several behind commas\n"
    "  --splits <count>       benchmarks: of the columns of 16-bit products; as models have them unless given\n"
    "  --repetitions <count>  timed replays of each entrant, 15 unless given\n"
    "  --no-hopper            benchmarks and profile without the kernels for Hopper\n"
    "  --unproven             kernels that have not run on a GPU: correctness and repetition run them alone, "
    "benchmarks\n"
    "                         beside the others\n"
    "  --tiny                 smallest shapes, for compute-sanitizer\n"
    "  --list                 print the stage's cases and do nothing\n"
    "  --help                 print this\n";

struct Arguments {
  std::string stage;
  std::string library;
  std::filesystem::path out = ".";
  int device = 0;
  bool list = false;
  bool help = false;
  Settings settings;
};

int to_number(std::string_view option, std::string_view text, int least) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least) {
    fail(ErrorCode::kConfig, "{} takes a whole number from {} on, not '{}'", option, least, text);
  }
  return value;
}

Arguments parse(int count, char** words) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string_view option = words[i];
    if (option == "--tiny") {
      arguments.settings.tiny = true;
    } else if (option == "--no-hopper") {
      arguments.settings.hopper = false;
    } else if (option == "--unproven") {
      arguments.settings.unproven = true;
    } else if (option == "--list") {
      arguments.list = true;
    } else if (option == "--help") {
      arguments.help = true;
    } else {
      const std::string_view known[] = {"--stage",       "--library", "--cublas",  "--device", "--out",
                                        "--repetitions", "--filter",  "--entrant", "--splits"};
      if (std::ranges::find(known, option) == std::end(known)) {
        fail(ErrorCode::kConfig, "unknown option '{}'; --help lists those there are", option);
      }
      if (i + 1 == count) fail(ErrorCode::kConfig, "{} needs a value", option);
      const std::string value = words[++i];
      if (option == "--stage") arguments.stage = value;
      if (option == "--library") arguments.library = value;
      if (option == "--cublas") arguments.settings.cublas = value;
      if (option == "--device") arguments.device = to_number(option, value, 0);
      if (option == "--out") arguments.out = value;
      if (option == "--repetitions") arguments.settings.repetitions = to_number(option, value, 1);
      if (option == "--filter") arguments.settings.filter = value;
      if (option == "--splits") arguments.settings.splits = to_number(option, value, 1);
      if (option == "--entrant") arguments.settings.entrant = value;
    }
  }
  return arguments;
}

struct Stage {
  std::string_view name;
  void (*run)(const Gpu&, const Settings&, Results&);
  std::vector<std::string> (*cases)(const Settings&);
};
std::vector<std::string> whole(const Settings&) { return {"all of it"}; }
constexpr Stage kStages[] = {{"smoke", run_smoke, whole},
                             {"correctness", run_correctness, correctness_cases},
                             {"repetition", run_repetition, whole},
                             {"benchmarks", run_benchmarks, benchmark_cases},
                             {"profile", run_profile, whole}};

const Stage& find_stage(const std::string& name) {
  for (const Stage& stage : kStages) {
    if (stage.name == name) return stage;
  }
  fail(ErrorCode::kConfig, "--stage is '{}', expected smoke, correctness, repetition, benchmarks or profile", name);
}

int run(int count, char** words) {
  const Arguments arguments = parse(count, words);
  if (arguments.help) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  const Stage& stage = find_stage(arguments.stage);
  const std::vector<std::string> cases = stage.cases(arguments.settings);
  if (cases.empty())
    fail(ErrorCode::kConfig, "--filter: no case of '{}' contains '{}'", stage.name, arguments.settings.filter);
  if (arguments.list) {
    for (const std::string& name : cases) std::puts(name.c_str());
    return 0;
  }
  Results results(arguments.out / fmt::format("{}.jsonl", stage.name));
  const std::filesystem::path beside = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const cuda::Library library =
      cuda::Library::open(arguments.library.empty() ? (beside / "liblowbit_cuda.so").string() : arguments.library);
  const Gpu gpu(library, arguments.device);
  stage.run(gpu, arguments.settings, results);
  if (results.failures() > 0)
    fail(ErrorCode::kCellFailed, "{} cases failed; they have \"pass\": false", results.failures());
  return 0;
}

}  // namespace
}  // namespace lowbit::gpu_verify

int main(int count, char** words) {
  try {
    return lowbit::gpu_verify::run(count, words);
  } catch (const lowbit::Error& error) {
    std::fprintf(stderr, "lowbit_gpu_verify: %s\n", error.what());
    return lowbit::exit_code(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lowbit_gpu_verify: %s\n", error.what());
    return lowbit::exit_code(lowbit::ErrorCode::kInternal);
  }
}
