#include <fmt/format.h>
#include <sys/prctl.h>

#include <csignal>
#include <memory>

#include "lowbit/base/error.h"
#include "lowbit/experiment/executor.h"
#include "session.h"

namespace lowbit::cli {
namespace {

struct WorkerArguments {
  std::string folder, key, failure;
};

int work(const Session& session, const WorkerArguments& arguments) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // a run that was killed leaves nobody who would wait for this piece
  session.start();
  const auto progress = session.progress();
  try {
    run_work_item(arguments.folder, arguments.key, session.registries(), session.resources(), *progress,
                  *session.cancellation);
    return 0;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted)
      record_failure(arguments.failure, exit_code(error.code()), error.what());
    return exit_code(error.code());
  } catch (const std::bad_alloc&) {
    record_failure(arguments.failure, exit_code(ErrorCode::kDevice), "out of memory");
    return exit_code(ErrorCode::kDevice);
  } catch (const std::exception& error) {
    record_failure(arguments.failure, exit_code(ErrorCode::kInternal), error.what());
    return exit_code(ErrorCode::kInternal);
  }
}

}  // namespace

void add_worker(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("worker", "Do one piece of a run's work (started by 'run')");
  command->group("");  // not shown: users have no need of it
  auto arguments = std::make_shared<WorkerArguments>();
  command->add_option("folder", arguments->folder, "The run's folder")->required();
  command->add_option("key", arguments->key, "Key of the work item")->required();
  command->add_option("failure", arguments->failure, "File for the reason of a failure")->required();
  session.add_compute_options(*command);
  command->callback([arguments, &session] {
    session.user_plugins = false;
    session.command = [arguments, &session] { return work(session, *arguments); };
  });
}

}  // namespace lowbit::cli
