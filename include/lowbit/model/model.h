#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lowbit/base/cancellation.h"
#include "lowbit/base/export.h"
#include "lowbit/model/block.h"
#include "lowbit/model/runtime_readers.h"
#include "lowbit/model/weight_source.h"
#include "lowbit/text/tokenizer.h"

namespace lowbit LOWBIT_EXPORT {

/// Sequences of equal length on their way through the blocks, read as in generation.
struct DecodedBatch {
  at::Tensor hidden;             ///< [batch, tokens, hidden], replaced by the result
  std::int64_t prefill = 0;      ///< tokens that are read at once; the others follow one at a time
  std::int64_t cache_bytes = 0;  ///< of all layers and sequences when the last token was read
};

struct RankedToken {
  TokenId id = 0;
  float logit = 0;
};

/// A decoder-only language model, opened lazily: embedding, head and blocks are read when first used. One thread at a
/// time may use it; its computations run on all threads of the pool.
///
///   auto model = Model::open("model.gguf", {});
///   at::Tensor hidden = model->run(model->embed(ids));          // [batch, tokens, hidden]
///   at::Tensor logits = model->logits(hidden.flatten(0, 1));    // [n, vocabulary], float32
class Model {
 public:
  /// How many blocks stay in memory: all of them, or one at a time, read again in each pass.
  enum class Residency { kResident, kStreamed };

  [[nodiscard]] static std::shared_ptr<Model> open(const std::filesystem::path& path, const ComputeOptions& options,
                                                   Residency residency = Residency::kResident,
                                                   RuntimeReaders readers = {});

  /// A model of weights that are open already; `tokenizer` may be null where no text is to be read or written.
  [[nodiscard]] static std::shared_ptr<Model> make(std::shared_ptr<const WeightSource> weights,
                                                   std::unique_ptr<Tokenizer> tokenizer, const ComputeOptions& options,
                                                   Residency residency = Residency::kResident,
                                                   RuntimeReaders readers = {});

  [[nodiscard]] const Architecture& architecture() const { return weights_->architecture(); }
  [[nodiscard]] const WeightSource& weights() const { return *weights_; }
  /// Throws `kData` when the model came without one.
  [[nodiscard]] const Tokenizer& tokenizer() const;
  [[nodiscard]] const ComputeOptions& options() const { return options_; }
  [[nodiscard]] Residency residency() const { return residency_; }
  [[nodiscard]] const RuntimeReaders& readers() const { return readers_; }

  /// ids int64 [batch, tokens] -> [batch, tokens, hidden].
  [[nodiscard]] at::Tensor embed(const at::Tensor& ids) const;
  /// The block, from memory or disk.
  [[nodiscard]] std::shared_ptr<Block> block(std::int64_t index) const;
  /// Reads all blocks of a resident model: weights that stay come before activations, whose memory would be given back
  /// after each of them. Throws `kInterrupted` when cancelled. Nothing of a streamed one.
  void hold_resident_blocks(const Cancellation& cancellation) const;
  /// The cache of a layer for generation: what the artifact says, else a float one.
  [[nodiscard]] std::unique_ptr<KvCachePolicy> make_kv_cache(std::int64_t layer) const;
  /// Through all blocks, for sequences that start at position 0.
  [[nodiscard]] at::Tensor run(const at::Tensor& hidden) const;
  /// Many batches through all blocks, block by block, so that a streamed model reads each block once: batches[i] is
  /// replaced by its result. `after_step` is called after each (block, batch). Throws `kInterrupted` when cancelled.
  void run_batches(std::vector<at::Tensor>& batches, const Cancellation& cancellation,
                   const std::function<void()>& after_step) const;
  /// Likewise, but in decode order: behind its prefill each token sees what the caches of this model (`make_kv_cache`)
  /// have kept of those before it. A layer reads all tokens before the next layer reads the first, which changes no
  /// operand, since the tokens are given; so only one layer's caches are in memory.
  void decode_batches(std::span<DecodedBatch> batches, const Cancellation& cancellation) const;
  /// The final norm, [.., hidden] -> the same.
  [[nodiscard]] at::Tensor final_norm(const at::Tensor& hidden) const;
  /// Logits of already normalised rows [.., n, hidden] in float32, [.., n, vocabulary]. Cut n to bound memory. With
  /// `deterministic`, a row's bits depend on its place among the n rows (see `linear`) only in whether n is 1.
  [[nodiscard]] at::Tensor head(const at::Tensor& normalised) const;
  [[nodiscard]] at::Tensor logits(const at::Tensor& hidden) const { return head(final_norm(hidden)); }
  /// What `head` gives for rows [n, hidden], in parts: where the head is packed, no row of logits is ever whole.
  void head_parts(const at::Tensor& normalised, OutputSink& sink) const;
  /// The `count` largest logits of each row of `head` (all, where there are fewer), the largest first and equal ones in
  /// the order of their ids. Throws `kData` when a logit is not finite.
  [[nodiscard]] std::vector<std::vector<RankedToken>> rank(const at::Tensor& normalised, std::int64_t count) const;
  /// How the products with weights that are stored quantized ran, of blocks and head that were read so far.
  [[nodiscard]] std::vector<ProductRecord> products() const;
  /// What `embed`, `final_norm` and `head` compute with, in the type of the computation: [vocabulary, hidden], [hidden]
  /// and the product. Of a streamed model valid until the next block is read.
  [[nodiscard]] const at::Tensor& embedding_table() const;
  [[nodiscard]] const at::Tensor& final_norm_weight() const;
  [[nodiscard]] const LinearOp& head_product() const;
  /// For sequences of `length` positions; valid until the next call.
  [[nodiscard]] const RopeTable& rope(std::int64_t length) const;

 private:
  Model(std::shared_ptr<const WeightSource> weights, std::unique_ptr<Tokenizer> tokenizer,
        const ComputeOptions& options, Residency residency, RuntimeReaders readers);
  std::shared_ptr<const WeightSource> weights_;
  std::unique_ptr<Tokenizer> tokenizer_;
  ComputeOptions options_;
  Residency residency_;
  RuntimeReaders readers_;
  KvCacheMaker kv_cache_;  // empty: float
  // Keeps the records of what was read; those of a block that is read again stay as they were.
  void keep_records(std::size_t place, std::vector<ProductRecord> records) const;
  mutable at::Tensor embedding_;            // [vocabulary, hidden], undefined until used
  mutable std::shared_ptr<LinearOp> head_;  // null until used; of the same tensor when tied
  mutable at::Tensor final_norm_;           // [hidden]
  mutable std::vector<std::shared_ptr<Block>> blocks_;
  mutable std::vector<std::optional<std::vector<ProductRecord>>> records_;  // of each block, then of the head
  std::shared_ptr<BlockSpace> space_;                                       // of all blocks
  mutable RopeTable rope_;
  mutable std::int64_t rope_length_ = 0;
};

struct GenerationOptions {
  std::int64_t max_new_tokens = 64;
  double temperature = 0.0;  ///< 0: greedy
  std::int64_t top_k = 0;    ///< 0: all
  double top_p = 1.0;
  std::uint64_t seed = 0;
  std::vector<std::string> stop = {};  ///< texts that end generation, matched on decoded text
  bool ignore_eos = false;
};

struct Generation {
  std::vector<TokenId> ids;  ///< without the token that ended it
  std::string text;          ///< what the ids add to the prompt's text, without a stop text and what follows it
  std::string stopped_by;    ///< "eos", "stop", "length"
};

/// Continues `prompt` with a KV cache until an end token, a stop text, `max_new_tokens` or the end of the context.
/// Throws `kData` for an empty prompt, one that fills the context, and ids outside the vocabulary. `on_text` gets the
/// text piece by piece, whole UTF-8 characters only.
[[nodiscard]] Generation generate(const Model& model, std::span<const TokenId> prompt, const GenerationOptions& options,
                                  const Cancellation& cancellation,
                                  const std::function<void(std::string_view)>& on_text = {});

}  // namespace LOWBIT_EXPORT
