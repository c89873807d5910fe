#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <memory>

#include "lowbit/base/files.h"
#include "lowbit/model/artifact.h"
#include "lowbit/model/weight_source.h"
#include "lowbit/quantization/recipe.h"
#include "lowbit/text/tokenizer.h"
#include "session.h"

namespace lowbit::cli {
namespace {

void print_architecture(const Architecture& a) {
  fmt::print(
      "architecture  {}: {} layers, hidden {}, intermediate {}, {} heads of {}, {} KV heads, vocabulary {}, context "
      "{}\n",
      a.family, a.layers, a.hidden, a.intermediate, a.heads, a.head_dim, a.kv_heads, a.vocabulary, a.context);
  fmt::print("              RoPE base {}, norm eps {}, {} head{}\n", a.rope_theta, a.norm_eps,
             a.tied_head ? "tied" : "separate", a.attention_bias ? ", attention biases" : "");
  fmt::print("parameters    {} ({} in each block)\n", a.parameters(), a.block_parameters());
}

void print_tokenizer(const std::filesystem::path& path) {
  const auto tokenizer = load_tokenizer(path);
  const auto id = [](std::optional<TokenId> token) { return token ? std::to_string(*token) : std::string("none"); };
  fmt::print("tokenizer     {}, {} tokens, BOS {}{}, EOS {}\n", tokenizer->kind(), tokenizer->size(),
             id(tokenizer->bos()), tokenizer->adds_bos() ? " (added)" : " (not added)", id(tokenizer->eos()));
}

void print_types(const WeightSource& weights) {
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> types;  // type -> tensors, bytes
  for (const StoredTensor& tensor : weights.tensors()) {
    ++types[tensor.type].first;
    types[tensor.type].second += tensor.bytes;
  }
  for (const auto& [type, count] : types) {
    fmt::print("stored as     {}: {} tensors, {}\n", type, count.first,
               format_bytes(static_cast<std::uint64_t>(count.second)));
  }
}

std::string one_line(const ConfigNode& settings) {
  std::string text = settings.to_yaml();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) text.replace(at, 1, ", ");
  return text;
}

// What runs around products, and how keys and values are kept.
void print_acting(const WeightSource& weights) {
  std::map<std::string, std::int64_t> linears;  // by what runs around them
  for (const std::string& linear : linear_names(weights.architecture())) {
    for (const RuntimeRecord& record : weights.executions(linear)) {
      ++linears[fmt::format("{} ({})", record.name, one_line(record.settings))];
    }
  }
  for (const auto& [what, count] : linears) {
    fmt::print("acts          {} around {}\n", what, count_of(static_cast<std::size_t>(count), "product"));
  }
  if (const auto cache = weights.kv_cache()) {
    fmt::print("acts          {} ({}) on keys and values\n", cache->name, one_line(cache->settings));
  }
}

int inspect(const Session& session, const std::string& name, bool tensors) {
  session.start();
  const ModelEntry entry = find_model(name, session.resources());
  const auto weights = open_weights(entry.path);
  fmt::print("model         {}\npath          {}\nformat        {}\nhash          {}\n", entry.name,
             entry.path.string(), weights->format(), weights->fingerprint().hex());
  print_architecture(weights->architecture());
  print_tokenizer(entry.path);
  print_types(*weights);
  if (const StoredSize size = stored_size(*weights); size.quantized_weights > 0) {
    fmt::print("quantized     {} weights at {:.3f} bits each, scales and zeros included\n", size.quantized_weights,
               size.bits_per_quantized_weight);
  }
  print_acting(*weights);
  for (const std::string& remark : weights->remarks()) fmt::print("note          {}\n", remark);
  if (!tensors) return 0;
  fmt::print("\n");
  for (const StoredTensor& tensor : weights->tensors()) {
    fmt::print("{:<52} {:>22} {:>18} {:>11}\n", tensor.name, fmt::format("[{}]", fmt::join(tensor.shape, ", ")),
               tensor.type, format_bytes(static_cast<std::uint64_t>(tensor.bytes)));
  }
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("inspect", "Show a model or checkpoint: architecture, types, sizes, tokenizer");
  struct Arguments {
    std::string model;
    bool tensors = false;
  };
  auto arguments = std::make_shared<Arguments>();
  command->add_option("model", arguments->model, "Name in configs/models, GGUF file or Hugging Face folder")
      ->required();
  command->add_flag("--tensors", arguments->tensors, "List every tensor");
  session.add_compute_options(*command);
  command->callback([arguments, &session] {
    session.command = [arguments, &session] { return inspect(session, arguments->model, arguments->tensors); };
  });
}

}  // namespace lowbit::cli
