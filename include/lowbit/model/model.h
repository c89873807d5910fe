#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lowbit/base/cancellation.h"
#include "lowbit/base/export.h"
#include "lowbit/model/block.h"
#include "lowbit/model/weight_source.h"
#include "lowbit/text/tokenizer.h"

namespace lowbit LOWBIT_EXPORT {

/// A decoder-only language model, opened lazily: embedding and head stay mapped until used, blocks are read when asked.
///
///   auto model = Model::open("model.gguf", {});
///   at::Tensor hidden = model->run(model->embed(ids));          // [batch, tokens, hidden]
///   at::Tensor logits = model->logits(hidden.flatten(0, 1));    // [n, vocabulary], float32
class Model {
 public:
  /// How many blocks stay in memory: all of them, or one at a time, read again in each pass.
  enum class Residency { kResident, kStreamed };

  [[nodiscard]] static std::shared_ptr<Model> open(const std::filesystem::path& path, const ComputeOptions& options,
                                                   Residency residency = Residency::kResident);

  [[nodiscard]] const Architecture& architecture() const { return weights_->architecture(); }
  [[nodiscard]] const WeightSource& weights() const { return *weights_; }
  [[nodiscard]] const Tokenizer& tokenizer() const { return *tokenizer_; }
  [[nodiscard]] const ComputeOptions& options() const { return options_; }
  [[nodiscard]] Residency residency() const { return residency_; }

  /// ids int64 [batch, tokens] -> [batch, tokens, hidden].
  [[nodiscard]] at::Tensor embed(const at::Tensor& ids) const;
  /// The block, from memory or disk.
  [[nodiscard]] std::shared_ptr<Block> block(std::int64_t index) const;
  /// Through all blocks, for sequences that start at position 0.
  [[nodiscard]] at::Tensor run(const at::Tensor& hidden) const;
  /// Many batches through all blocks, block by block, so that a streamed model reads each block once: batches[i] is
  /// replaced by its result. `after_block` is told when each (block, batch) is done.
  void run_batches(std::vector<at::Tensor>& batches, const Cancellation& cancellation,
                   const std::function<void()>& after_step) const;
  /// The final norm, [.., hidden] -> the same.
  [[nodiscard]] at::Tensor final_norm(const at::Tensor& hidden) const;
  /// Logits of already normalised rows [n, hidden] in float32, [n, vocabulary]. Cut n to bound memory.
  [[nodiscard]] at::Tensor head(const at::Tensor& normalised) const;
  [[nodiscard]] at::Tensor logits(const at::Tensor& hidden) const { return head(final_norm(hidden)); }
  [[nodiscard]] const RopeTable& rope(std::int64_t length) const;

 private:
  Model(std::shared_ptr<const WeightSource> weights, std::unique_ptr<Tokenizer> tokenizer, const ComputeOptions& options,
        Residency residency);
  std::shared_ptr<const WeightSource> weights_;
  std::unique_ptr<Tokenizer> tokenizer_;
  ComputeOptions options_;
  Residency residency_;
  at::Tensor embedding_;  // [vocabulary, hidden]
  at::Tensor head_;       // [vocabulary, hidden]
  at::Tensor final_norm_;
  mutable std::vector<std::shared_ptr<Block>> blocks_;
  mutable RopeTable rope_;
};

struct GenerationOptions {
  std::int64_t max_new_tokens = 64;
  double temperature = 0.0;  ///< 0: greedy
  std::int64_t top_k = 0;    ///< 0: all
  double top_p = 1.0;
  std::uint64_t seed = 0;
  std::vector<std::string> stop;  ///< texts that end generation, matched on decoded text
  bool ignore_eos = false;
};

struct Generation {
  std::vector<TokenId> ids;
  std::string text;
  std::string stopped_by;  ///< "eos", "stop", "length"
};

/// Continues `prompt` with a KV cache. `on_text` gets the text piece by piece, whole UTF-8 characters only.
[[nodiscard]] Generation generate(const Model& model, std::span<const TokenId> prompt, const GenerationOptions& options,
                                  const Cancellation& cancellation, const std::function<void(std::string_view)>& on_text = {});

}  // namespace lowbit
