#include <fmt/format.h>

#include <memory>

#include "lowbit/efficiency/gemm.h"
#include "session.h"

namespace lowbit::cli {

void add_bench(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("bench", "Measure this machine");
  command->require_subcommand(1);
  CLI::App* gemm = command->add_subcommand("gemm", "Time packed products beside LibTorch's");
  struct Arguments {
    GemmBenchOptions options;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  GemmBenchOptions& options = arguments->options;
  gemm->add_option("--rows", options.rows, "Rows of the weight")->capture_default_str();
  gemm->add_option("--columns", options.columns, "Columns of the weight")->capture_default_str();
  gemm->add_option("--tokens", options.tokens, "Tokens at once")->capture_default_str();
  gemm->add_option("--bits", options.bits, "Bits of the codes")->capture_default_str();
  gemm->add_option("--group", options.groups, "Columns that share a scale; -1: all of a row")->capture_default_str();
  gemm->add_option("--repetitions", options.repetitions, "Runs that are timed")->capture_default_str();
  gemm->add_option("--backend", options.backend, "Kernels to use, e.g. avx2; by default the fastest");
  gemm->add_flag("--json", arguments->json, "Print JSON");
  session.add_compute_options(*gemm);
  gemm->callback([arguments, &session] {
    session.command = [arguments, &session] {
      session.start();
      const GemmBench bench = run_gemm_bench(arguments->options, *session.progress());
      fmt::print("{}", arguments->json ? gemm_bench_json(bench) : gemm_bench_table(bench));
      return 0;
    };
  });
}

}  // namespace lowbit::cli
