#include "experiment/spawn.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <system_error>
#include <thread>

#include "lowbit/base/error.h"

namespace lowbit {

ProcessEnd run_process(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                       const Cancellation& cancellation) {
  std::string name = program.string();
  std::vector<std::string> copies = arguments;
  std::vector<char*> argv = {name.data()};
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);

  pid_t child = 0;
  if (const int error = ::posix_spawn(&child, name.c_str(), nullptr, nullptr, argv.data(), environ); error != 0) {
    fail(ErrorCode::kIo, "cannot start '{}': {}", name, std::system_category().message(error));
  }
  bool handed_on = false;
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child) {
      if (WIFEXITED(status)) return {WEXITSTATUS(status), 0};
      return {-1, WTERMSIG(status)};
    }
    if (ended < 0 && errno != EINTR)
      fail(ErrorCode::kIo, "lost the process '{}': {}", name, std::system_category().message(errno));
    if (cancellation.requested() && !handed_on) {
      ::kill(child, SIGTERM);
      handed_on = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace lowbit
