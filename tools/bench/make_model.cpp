#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <map>
#include <string>

#include "lowbit/base/error.h"
#include "synthetic_model.h"

// make_model <folder> [shape]: a model of pseudo-random weights, and a text for it.
int main(int argc, char** argv) {
  using lowbit::StorageType;
  CLI::App app("Writes a Llama of pseudo-random weights, for measurements");
  lowbit::bench::SyntheticShape shape;
  std::string folder, text;
  std::int64_t text_bytes = 1 << 20;
  bool llama_2_7b = false;
  app.add_option("folder", folder, "Folder to write")->required();
  app.add_flag("--llama-2-7b", llama_2_7b, "The shape of Llama 2 7B; --layers, if given, still counts");
  const CLI::Option* layers = app.add_option("--layers", shape.layers)->capture_default_str();
  app.add_option("--hidden", shape.hidden)->capture_default_str();
  app.add_option("--intermediate", shape.intermediate)->capture_default_str();
  app.add_option("--heads", shape.heads)->capture_default_str();
  app.add_option("--kv-heads", shape.kv_heads)->capture_default_str();
  app.add_option("--vocabulary", shape.vocabulary)->capture_default_str();
  app.add_option("--context", shape.context)->capture_default_str();
  app.add_flag("--tied", shape.tied, "The head is the embedding");
  const std::map<std::string, StorageType> types = {
      {"F16", StorageType::kF16}, {"BF16", StorageType::kBF16}, {"F32", StorageType::kF32}};
  app.add_option("--type", shape.type, "F16, BF16 or F32")->transform(CLI::CheckedTransformer(types));
  app.add_option("--text", text, "Also write a text file of pseudo-random words");
  app.add_option("--text-bytes", text_bytes)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    if (llama_2_7b) {
      const std::int64_t wanted = shape.layers;
      shape = lowbit::bench::SyntheticShape::llama_2_7b();
      if (layers->count() > 0) shape.layers = wanted;
    }
    lowbit::bench::write_synthetic_model(folder, shape);
    if (!text.empty()) lowbit::bench::write_synthetic_text(text, text_bytes);
    return 0;
  } catch (const lowbit::Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return lowbit::exit_code(error.code());
  }
}
