#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>

#include "lowbit/base/log.h"
#include "lowbit/model/model.h"
#include "lowbit/tensor/device.h"
#include "lowbit/text/chat_template.h"
#include "session.h"

namespace lowbit::cli {
namespace {

struct GenerateArguments {
  std::string model;
  std::string prompt;
  GenerationOptions options;
  std::string dtype = "float32";
  std::string device = "cpu";
  Execution execution = Execution::kSimulated;
  bool show_ids = false;
  bool chat = false;
  std::string system;
};

std::vector<TokenId> prompt_of(const GenerateArguments& arguments, const Tokenizer& tokenizer) {
  if (!arguments.chat) return tokenizer.encode(arguments.prompt);
  std::vector<ChatMessage> messages;
  if (!arguments.system.empty()) messages.push_back({"system", arguments.system});
  messages.push_back({"user", arguments.prompt});
  const auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
  return encode_prompt(tokenizer, tokenizer.chat_template().render(messages, {.today = today}));
}

int run_generate(const Session& session, const GenerateArguments& arguments) {
  session.start();
  const ModelEntry entry = find_model(arguments.model, session.resources());
  ComputeOptions compute;
  compute.dtype = arguments.dtype == "bfloat16" ? DType::kBFloat16 : DType::kFloat32;
  compute.device = compute_device(arguments.device);
  compute.deterministic = compute.device.is_cpu();
  compute.execution = arguments.execution;
  const auto model =
      Model::open(entry.path, compute, Model::Residency::kResident, runtime_readers(session.registries().quantization));
  const std::vector<TokenId> prompt = prompt_of(arguments, model->tokenizer());
  const auto show = [](std::string_view text) {
    fmt::print("{}", text);
    std::fflush(stdout);
  };
  const Generation result = arguments.show_ids
                                ? generate(*model, prompt, arguments.options, *session.cancellation)
                                : generate(*model, prompt, arguments.options, *session.cancellation, show);
  if (arguments.show_ids) {
    for (const TokenId id : result.ids) fmt::print("{} ", id);
  }
  fmt::print("\n");
  const auto written = static_cast<std::int64_t>(result.ids.size());
  if (result.stopped_by == "length" && written < arguments.options.max_new_tokens) {
    log::warn("stopped after {} tokens, at the end of the model's context of {}", written,
              model->architecture().context);
  }
  return 0;
}

}  // namespace

void add_generate(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("generate", "Complete a prompt");
  auto arguments = std::make_shared<GenerateArguments>();
  command->add_option("model", arguments->model, "Name in configs/models, GGUF file or Hugging Face folder")
      ->required();
  command->add_option("-p,--prompt", arguments->prompt, "Text to complete")->required();
  command->add_option("-n,--tokens", arguments->options.max_new_tokens, "New tokens at most")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--temperature", arguments->options.temperature, "0 takes the most likely token")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--top-k", arguments->options.top_k, "Sample among the k most likely; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--top-p", arguments->options.top_p, "Sample among the most likely that make up this share")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--seed", arguments->options.seed, "Seed of the draws")->capture_default_str();
  command->add_option("--stop", arguments->options.stop, "Stop before this text; may be repeated");
  command->add_option("--dtype", arguments->dtype, "Type to compute in")
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str();
  command->add_option("--device", arguments->device, "Where to compute: cpu, cuda or cuda:<number>")
      ->capture_default_str();
  CLI::Option* chat =
      command->add_flag("--chat", arguments->chat, "Put the prompt into a user's turn, by the model's chat template");
  command->add_option("--system", arguments->system, "What the system says before it")->needs(chat);
  command->add_flag("--ids", arguments->show_ids, "Print token ids instead of text");
  add_execution_option(*command, arguments->execution);
  session.add_compute_options(*command);
  command->callback(
      [arguments, &session] { session.command = [arguments, &session] { return run_generate(session, *arguments); }; });
}

}  // namespace lowbit::cli
