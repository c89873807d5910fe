#include "efficiency/llama_bench.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/base/json.h"

namespace lowbit {
namespace {

// A pipe whose ends are closed with it.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) {
      fail(ErrorCode::kIo, "cannot make a pipe: {}", std::system_category().message(errno));
    }
  }
  ~Pipe() {
    close_writer();
    ::close(ends_[0]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  [[nodiscard]] int writer() const { return ends_[1]; }
  void close_writer() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }
  [[nodiscard]] std::string read_all() const {
    std::string text;
    std::array<char, 4096> part;
    for (;;) {
      const ssize_t count = ::read(ends_[0], part.data(), part.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return text;
      text.append(part.data(), static_cast<std::size_t>(count));
    }
  }

 private:
  std::array<int, 2> ends_ = {-1, -1};
};

// What the program printed; its messages go where ours go.
std::string output_of(std::vector<std::string> command) {
  std::vector<char*> argv;
  for (std::string& argument : command) argv.push_back(argument.data());
  argv.push_back(nullptr);
  Pipe pipe;
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, pipe.writer(), STDOUT_FILENO);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, argv.front(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    fail(ErrorCode::kIo, "cannot start '{}': {}; name llama.cpp's llama-bench", command.front(),
         std::system_category().message(error));
  }
  pipe.close_writer();
  std::string text = pipe.read_all();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fail(ErrorCode::kData, "'{}' failed with status {}; its own message says why", command.front(),
         WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  }
  return text;
}

}  // namespace

double llama_rate(std::string_view output) {
  const Json json = parse_json(output, "llama-bench");
  if (!json.is_array() || json.size() != 1 || !json[0].contains("avg_ts") || !json[0]["avg_ts"].is_number()) {
    fail(ErrorCode::kData,
         "llama-bench: its output has no 'avg_ts' of one test, expected that of 'llama-bench -o json'");
  }
  return json[0]["avg_ts"].get<double>();
}

RivalRates run_llama_bench(const LlamaBench& rival, const DecodeBenchOptions& options, int threads) {
  const auto rate = [&](std::int64_t prompt, std::int64_t tokens, std::int64_t depth) {
    std::vector<std::string> command = {rival.program, "-m", rival.model, "-t",  std::to_string(threads),
                                        "-r",          "1",  "-o",        "json"};
    const auto add = [&](const char* name, std::int64_t value) {
      command.emplace_back(name);
      command.push_back(std::to_string(value));
    };
    add("-p", prompt);
    add("-n", tokens);
    if (depth > 0) add("-d", depth);
    command.insert(command.end(), rival.arguments.begin(), rival.arguments.end());
    return llama_rate(output_of(std::move(command)));
  };
  return {rate(options.prompt, 0, 0), rate(0, options.new_tokens, options.prompt)};
}

}  // namespace lowbit
