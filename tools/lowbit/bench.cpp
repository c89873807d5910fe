#include <fmt/format.h>

#include <memory>

#include "lowbit/efficiency/decode.h"
#include "lowbit/efficiency/gemm.h"
#include "lowbit/efficiency/machine.h"
#include "lowbit/efficiency/packing.h"
#include "lowbit/efficiency/roofline.h"
#include "lowbit/tensor/device.h"
#include "session.h"

namespace lowbit::cli {

namespace {

constexpr const char* kDeviceHelp = "What to measure: cpu, cuda or cuda:<number>";

std::shared_ptr<Model> open_model(const Session& session, const std::string& name, const ComputeOptions& compute) {
  return Model::open(find_model(name, session.resources()).path, compute, Model::Residency::kResident,
                     runtime_readers(session.registries().quantization));
}

void add_gemm(CLI::App& command, Session& session) {
  CLI::App* gemm = command.add_subcommand("gemm", "Time packed products beside LibTorch's");
  struct Arguments {
    GemmBenchOptions options;
    std::string device = "cpu";
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
  gemm->add_option("--device", arguments->device, kDeviceHelp)->capture_default_str();
  gemm->add_flag("--json", arguments->json, "Print JSON");
  session.add_compute_options(*gemm);
  gemm->callback([arguments, &session] {
    session.command = [arguments, &session] {
      session.start();
      arguments->options.device = compute_device(arguments->device);
      const GemmBench bench = run_gemm_bench(arguments->options, *session.progress());
      fmt::print("{}", arguments->json ? gemm_bench_json(bench) : gemm_bench_table(bench));
      return 0;
    };
  });
}

void add_packing(CLI::App& command, Session& session) {
  CLI::App* packing = command.add_subcommand("packing", "Time packing of a weight beside copies of as many bytes");
  struct Arguments {
    PackingBenchOptions options;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  PackingBenchOptions& options = arguments->options;
  packing->add_option("--rows", options.rows, "Rows of the weight")->capture_default_str();
  packing->add_option("--columns", options.columns, "Columns of the weight")->capture_default_str();
  packing->add_option("--bits", options.bits, "Bits of the codes")->capture_default_str();
  packing->add_option("--group", options.groups, "Columns that share a scale; -1: all of a row")->capture_default_str();
  packing->add_option("--repetitions", options.repetitions, "Runs that are timed")->capture_default_str();
  packing->add_flag("--json", arguments->json, "Print JSON");
  session.add_compute_options(*packing);
  packing->callback([arguments, &session] {
    session.command = [arguments, &session] {
      session.start();
      const PackingBench bench = run_packing_bench(arguments->options, *session.progress());
      fmt::print("{}", arguments->json ? packing_bench_json(bench) : packing_bench_table(bench));
      return 0;
    };
  });
}

void add_decode(CLI::App& command, Session& session) {
  CLI::App* decode = command.add_subcommand("decode", "Time how a model reads prompts and tokens, beside the roofline");
  struct Arguments {
    std::string model;
    DecodeBenchOptions options;
    ComputeOptions compute;
    std::string dtype = "float32";
    std::string device = "cpu";
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  DecodeBenchOptions& options = arguments->options;
  decode->add_option("model", arguments->model, "Name in configs/models, GGUF file or Hugging Face folder")->required();
  decode->add_option("--prompt", options.prompt, "Tokens read at once")->capture_default_str();
  decode->add_option("--tokens", options.new_tokens, "Tokens read behind them, one at a time")->capture_default_str();
  decode->add_option("--batch", options.batches, "Sequences at once; several numbers are measured in turn")
      ->capture_default_str();
  decode->add_option("--repetitions", options.repetitions, "Runs that are timed")->capture_default_str();
  decode->add_option("--llama-bench", options.llama.program,
                     "llama.cpp's llama-bench, run in turn with this model as a rival");
  decode->add_option("--llama-model", options.llama.model, "The GGUF file that it reads");
  decode->add_option("--llama-arguments", options.llama.arguments, "Further arguments for it, e.g. -fa,1")
      ->delimiter(',')
      ->allow_extra_args(false);
  decode->add_flag("!--no-certify", arguments->compute.certify, "Do not compare packed products with decoded weights");
  decode->add_option("--dtype", arguments->dtype, "Type to compute in")
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str();
  decode->add_option("--device", arguments->device, kDeviceHelp)->capture_default_str();
  decode->add_flag("--json", arguments->json, "Print JSON");
  add_execution_option(*decode, arguments->compute.execution);
  session.add_compute_options(*decode);
  decode->callback([arguments, &session] {
    session.command = [arguments, &session] {
      session.start();
      arguments->compute.dtype = arguments->dtype == "bfloat16" ? DType::kBFloat16 : DType::kFloat32;
      arguments->compute.device = compute_device(arguments->device);
      arguments->compute.deterministic = arguments->compute.device.is_cpu();
      const auto model = open_model(session, arguments->model, arguments->compute);
      const DecodeBench bench =
          run_decode_bench(*model, arguments->options, *session.progress(), *session.cancellation);
      fmt::print("{}", arguments->json ? decode_bench_json(bench) : decode_bench_table(bench));
      return 0;
    };
  });
}

struct RooflineArguments {
  std::string model;
  RooflineOptions options;
  ComputeOptions compute;
  std::string device = "cpu";
  bool json = false;
};

void measure_machine(const RooflineArguments& arguments) {
  constexpr std::int64_t kMebibyte = std::int64_t{1} << 20;
  const std::vector<std::int64_t> sizes = {kMebibyte, 8 * kMebibyte, 32 * kMebibyte, 256 * kMebibyte};
  const at::Device device = compute_device(arguments.device);
  const MachinePeaks peaks = device.is_cpu() ? probe_machine(sizes) : probe_device(device, sizes);
  fmt::print("{}", arguments.json ? machine_json(peaks) : machine_table(peaks));
}

void measure_products(const Session& session, RooflineArguments& arguments) {
  arguments.compute.device = compute_device(arguments.device);
  const auto model = open_model(session, arguments.model, arguments.compute);
  const ModelRoofline roofline =
      run_model_roofline(*model, arguments.options, *session.progress(), *session.cancellation);
  fmt::print("{}", arguments.json ? model_roofline_json(roofline) : model_roofline_table(roofline));
}

void add_roofline(CLI::App& command, Session& session) {
  CLI::App* roofline = command.add_subcommand(
      "roofline", "Measure what memory and units could do, and each product of a model beside that");
  auto arguments = std::make_shared<RooflineArguments>();
  RooflineOptions& options = arguments->options;
  roofline->add_option("model", arguments->model,
                       "Name in configs/models, GGUF file or Hugging Face folder; without it, the machine alone");
  roofline->add_option("--prompt", options.prompt, "Tokens read at once")->capture_default_str();
  roofline->add_option("--batch", options.batch, "Sequences at once")->capture_default_str();
  roofline->add_option("--repetitions", options.repetitions, "Runs that are timed")->capture_default_str();
  roofline->add_option("--device", arguments->device, kDeviceHelp)->capture_default_str();
  roofline->add_flag("--json", arguments->json, "Print JSON");
  add_execution_option(*roofline, arguments->compute.execution);
  session.add_compute_options(*roofline);
  roofline->callback([arguments, &session] {
    session.command = [arguments, &session] {
      session.start();
      if (arguments->model.empty()) {
        measure_machine(*arguments);
      } else {
        measure_products(session, *arguments);
      }
      return 0;
    };
  });
}

}  // namespace

void add_bench(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("bench", "Measure this machine");
  command->require_subcommand(1);
  add_gemm(*command, session);
  add_packing(*command, session);
  add_decode(*command, session);
  add_roofline(*command, session);
}

}  // namespace lowbit::cli
