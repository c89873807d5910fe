#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "lowbit/base/error.h"
#include "session.h"

namespace {

lowbit::Cancellation cancellation;

// A signal asks for a clean stop at the next unit of work; a second Ctrl-C ends the program. A run that is stopped
// hands SIGTERM on to its worker, which on a terminal has met the Ctrl-C too.
void on_signal(int signal) {
  static volatile std::sig_atomic_t interrupts = 0;
  if (signal == SIGINT && interrupts != 0) ::_exit(130);
  if (signal == SIGINT) interrupts = 1;
  cancellation.request();
}

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  // A closed pipe and a file that may not grow are errors of the write, reported like a full disk.
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
}

constexpr const char* kDescription =
    "lowbit finds out what quantizing a language model really does: models x calibration data x recipes x tests, from "
    "one "
    "YAML file, with every difference tested.";

constexpr const char* kFooter =
    "Start with:  lowbit run configs/quickstart.yaml\n"
    "Exit status: 0 done, 1 a cell failed, 2 config, 3 data, 4 unsupported, 5 device, 6 plugin, 7 input/output, 70 "
    "internal "
    "error, 130 interrupted.";

void build_app(CLI::App& app, lowbit::cli::Session& session) {
  using namespace lowbit::cli;
  app.description(kDescription);
  app.footer(kFooter);
  app.set_version_flag("--version", "lowbit " LOWBIT_VERSION);
  app.require_subcommand(1);
  app.failure_message([](const CLI::App*, const CLI::Error& problem) {
    return fmt::format("error: {}; 'lowbit --help' and 'lowbit COMMAND --help' say what is allowed\n", problem.what());
  });
  app.fallthrough();
  app.add_option("--plugin", session.plugins, "Shared library with further modules; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  app.add_flag("-q,--quiet", session.quiet, "Only results and errors");
  app.add_flag("-v,--verbose", session.verbose, "Say what is being done");
  app.add_flag("--debug", session.debug, "Say everything");
  add_run(app, session);
  add_plan(app, session);
  add_check(app, session);
  add_list(app, session);
  add_datasets(app, session);
  add_calibration(app, session);
  add_describe(app, session);
  add_inspect(app, session);
  add_quantize(app, session);
  add_evaluate(app, session);
  add_generate(app, session);
  add_bench(app, session);
  add_plugin(app, session);
  add_worker(app, session);
}

// Names out of foreign files may hold escape sequences, which a terminal would obey.
std::string printable(std::string_view message) {
  std::string text;
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n') || byte == 0x7F) {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      text += c;
    }
  }
  return text;
}

int report(lowbit::ErrorCode code, const char* message) {
  // Not fmt::print, which throws when standard error is closed.
  std::fputs(("error: " + printable(message) + "\n").c_str(), stderr);
  return lowbit::exit_code(code);
}

// The first argument that is no option names the command; of the options before it only --plugin takes a value. CLI11
// by itself says of a misspelt one only that a command is missing.
void check_command(const CLI::App& app, int argc, char** argv) {
  char** const end = argv + argc;
  char** found = std::min(argv + 1, end);
  while (found != end && **found == '-') found += std::string_view(*found) == "--plugin" && found + 1 != end ? 2 : 1;
  if (found == end) return;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == *found) return;
    if (!command->get_group().empty()) names.push_back(command->get_name());
  }
  lowbit::fail(lowbit::ErrorCode::kConfig, "unknown command '{}'{}; 'lowbit --help' lists them", *found,
               lowbit::suggestion(*found, names));
}

// What stands in the buffer still can meet a full disk or a closed pipe.
int flushed(int status) {
  if (std::fflush(stdout) != 0) lowbit::fail(lowbit::ErrorCode::kIo, "cannot write to standard output");
  return status;
}

// Activations of some 10 MB come and go many times a second. Handed back to the system, each would be zeroed page by
// page when it returns: a tenth of the processor's time. What is freed is used again instead; only blocks beyond 32
// MiB, the largest bound that the C library takes, are still mapped one by one.
void keep_freed_memory() {
#ifdef __GLIBC__
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 512 << 20);
#endif
}

// Everything is written and closed by now. LibTorch's destructors, of thousands of operators, would only give memory
// back that the system takes anyway, in a quarter of the time of `lowbit --help`. Sanitizers do their part at the exit.
[[noreturn]] void leave(int status) {
  std::cout.flush();
  std::fflush(nullptr);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  std::exit(status);
#else
  std::_Exit(status);
#endif
}

int run(int argc, char** argv) {
  catch_signals();
  keep_freed_memory();
  lowbit::cli::Session session;
  session.cancellation = &cancellation;
  std::error_code ignored;
  session.program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  CLI::App app;
  build_app(app, session);
  try {
    check_command(app, argc, argv);
    app.parse(argc, argv);
    return flushed(session.command ? session.command() : 0);
  } catch (const CLI::ParseError& problem) {
    const int status = app.exit(problem);
    return status == 0 ? 0 : lowbit::exit_code(lowbit::ErrorCode::kConfig);
  } catch (const lowbit::Error& error) {
    return report(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return report(lowbit::ErrorCode::kDevice,
                  "out of memory; a 'compute: {memory_limit: ...}' or fewer calibration tokens take less");
  } catch (const std::system_error& error) {
    return report(lowbit::ErrorCode::kIo, error.what());
  } catch (const std::exception& error) {
    return report(lowbit::ErrorCode::kInternal, error.what());
  }
}

}  // namespace

int main(int argc, char** argv) { leave(run(argc, argv)); }
