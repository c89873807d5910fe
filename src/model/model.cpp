#include "lowbit/model/model.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/base/resident.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "model/compute_options.h"
#include "model/load_weight.h"
#include "model/packed_products.h"
#include "model/stored_product.h"
#include "model/token_range.h"

namespace lowbit {
namespace {

// Tables grow in these steps, so that a generation does not make one for every token.
constexpr std::int64_t kRopeStep = 512;

// Frequencies of these kinds depend on the length of the sequence.
bool depends_on_length(RopeScalingKind kind) {
  return kind == RopeScalingKind::kDynamic || kind == RopeScalingKind::kLongRope;
}

void check_ids(const at::Tensor& ids, std::int64_t vocabulary) {
  if (ids.dim() != 2 || dtype_of(ids) != DType::kInt64) {
    fail(ErrorCode::kInternal, "embed: expected int64 ids [batch, tokens], got {}", shape_text(shape_of(ids)));
  }
  if (ids.numel() == 0) return;
  const std::int64_t least = ids.min().item<std::int64_t>();
  const std::int64_t largest = ids.max().item<std::int64_t>();
  check_token(least, vocabulary);
  check_token(largest, vocabulary);
}

}  // namespace

Model::Model(std::shared_ptr<const WeightSource> weights, std::unique_ptr<Tokenizer> tokenizer,
             const ComputeOptions& options, Residency residency, RuntimeReaders readers)
    : weights_(std::move(weights)),
      tokenizer_(std::move(tokenizer)),
      options_(options),
      residency_(residency),
      readers_(std::move(readers)),
      blocks_(static_cast<std::size_t>(weights_->architecture().layers)),
      records_(blocks_.size() + 1),
      space_(std::make_shared<BlockSpace>()) {}

std::shared_ptr<Model> Model::make(std::shared_ptr<const WeightSource> weights, std::unique_ptr<Tokenizer> tokenizer,
                                   const ComputeOptions& options, Residency residency, RuntimeReaders readers) {
  check_compute_options(options);
  const std::int64_t rows = weights->architecture().vocabulary;
  if (tokenizer && tokenizer->size() > rows) {
    fail(ErrorCode::kData, "{}: the tokenizer has {} tokens, the model's embedding only {} rows",
         weights->path().string(), tokenizer->size(), rows);
  }
  std::shared_ptr<Model> model(
      new Model(std::move(weights), std::move(tokenizer), options, residency, std::move(readers)));
  if (const std::optional<RuntimeRecord> record = model->weights_->kv_cache()) {
    if (!model->readers_.kv_cache) {
      fail(ErrorCode::kUnsupported, "{}: keys and values are kept by '{}', and the model was opened without readers",
           model->weights_->path().string(), record->name);
    }
    model->kv_cache_ = model->readers_.kv_cache(*record);
  }
  return model;
}

std::shared_ptr<Model> Model::open(const std::filesystem::path& path, const ComputeOptions& options,
                                   Residency residency, RuntimeReaders readers) {
  std::shared_ptr<const WeightSource> weights = open_weights(path);
  return make(std::move(weights), load_tokenizer(path), options, residency, std::move(readers));
}

const Tokenizer& Model::tokenizer() const {
  if (!tokenizer_) fail(ErrorCode::kData, "{}: the model has no tokenizer", weights_->path().string());
  return *tokenizer_;
}

const at::Tensor& Model::embedding_table() const {
  const Architecture& a = architecture();
  if (!embedding_.defined()) {
    embedding_ = load_weight(*weights_, "model.embed_tokens.weight", {a.vocabulary, a.hidden}, options_);
  }
  return embedding_;
}

const LinearOp& Model::head_product() const {
  const Architecture& a = architecture();
  if (head_) return *head_;
  if (a.tied_head) {
    head_ = make_float_linear(embedding_table(), at::Tensor());
  } else {
    ComputeOptions options = options_;
    options.certify = options.certify && !records_.back();
    StoredProduct product = load_product(*weights_, "lm_head", {a.vocabulary, a.hidden}, at::Tensor(), options);
    keep_records(records_.size() - 1, {std::move(product.record)});
    head_ = std::move(product.op);
    release_freed_memory();
  }
  return *head_;
}

void Model::keep_records(std::size_t place, std::vector<ProductRecord> records) const {
  if (records_[place]) return;
  std::erase_if(records, [](const ProductRecord& record) { return record.linear.empty(); });
  records_[place] = std::move(records);
}

std::vector<ProductRecord> Model::products() const {
  std::vector<ProductRecord> all;
  for (const auto& records : records_) {
    if (records) all.insert(all.end(), records->begin(), records->end());
  }
  return all;
}

at::Tensor Model::embed(const at::Tensor& ids) const {
  check_ids(ids, architecture().vocabulary);
  if (residency_ == Residency::kStreamed && !architecture().tied_head) head_.reset();
  return embedding(embedding_table(), ids);
}

std::shared_ptr<Block> Model::block(std::int64_t index) const {
  if (index < 0 || index >= architecture().layers) {
    fail(ErrorCode::kInternal, "block {} of a model with {}", index, architecture().layers);
  }
  std::shared_ptr<Block>& kept = blocks_[static_cast<std::size_t>(index)];
  if (kept) return kept;
  // Read again when a batch is through all blocks.
  if (residency_ == Residency::kStreamed) {
    embedding_ = at::Tensor();
    head_.reset();
    release_freed_memory();  // the last block's; or else holes would grow block by block
  }
  ComputeOptions options = options_;
  options.certify = options.certify && !records_[static_cast<std::size_t>(index)];
  std::shared_ptr<Block> loaded = load_block(*weights_, index, options, readers_);
  loaded->share_space(space_);
  std::vector<ProductRecord> records;
  for (const LinearSlot& slot : loaded->linears()) records.push_back(slot.record);
  keep_records(static_cast<std::size_t>(index), std::move(records));
  if (residency_ == Residency::kResident) {
    kept = loaded;
    // What loading and the last block's activations freed lies between weights that stay, of little use to others.
    release_freed_memory();
  }
  return loaded;
}

std::unique_ptr<KvCachePolicy> Model::make_kv_cache(std::int64_t layer) const {
  return kv_cache_ ? kv_cache_(architecture(), layer) : make_float_kv_cache(architecture().sliding_window);
}

at::Tensor Model::run(const at::Tensor& hidden) const {
  std::vector<at::Tensor> batches{hidden};
  run_batches(batches, Cancellation(), {});
  return batches.front();
}

void Model::hold_resident_blocks(const Cancellation& cancellation) const {
  for (std::int64_t index = 0; residency_ == Residency::kResident && index < architecture().layers; ++index) {
    cancellation.check();
    static_cast<void>(block(index));
  }
}

void Model::run_batches(std::vector<at::Tensor>& batches, const Cancellation& cancellation,
                        const std::function<void()>& after_step) const {
  hold_resident_blocks(cancellation);
  for (std::int64_t index = 0; index < architecture().layers; ++index) {
    const std::shared_ptr<Block> current = block(index);
    for (at::Tensor& batch : batches) {
      cancellation.check();
      batch = current->forward(batch, rope(batch.size(1)));
      if (after_step) after_step();
    }
  }
}

const at::Tensor& Model::final_norm_weight() const {
  if (!final_norm_.defined()) {
    final_norm_ = load_weight(*weights_, "model.norm.weight", {architecture().hidden}, options_);
  }
  return final_norm_;
}

at::Tensor Model::final_norm(const at::Tensor& hidden) const {
  return rms_norm(hidden, final_norm_weight(), architecture().norm_eps);
}

at::Tensor Model::head(const at::Tensor& normalised) const {
  if (residency_ == Residency::kStreamed && !architecture().tied_head) embedding_ = at::Tensor();
  const at::Tensor logits = head_product().forward(normalised, options_.deterministic);
  return to_dtype(logits, DType::kFloat32);
}

void Model::head_parts(const at::Tensor& normalised, OutputSink& sink) const {
  if (residency_ == Residency::kStreamed && !architecture().tied_head) embedding_ = at::Tensor();
  head_product().forward_parts(normalised, options_.deterministic, sink);
}

const RopeTable& Model::rope(std::int64_t length) const {
  const bool fits =
      depends_on_length(architecture().rope_scaling.kind) ? length == rope_length_ : length <= rope_length_;
  if (fits) return rope_;
  if (!depends_on_length(architecture().rope_scaling.kind)) length = (length + kRopeStep - 1) / kRopeStep * kRopeStep;
  rope_ = make_rope_table(architecture(), length);
  rope_ = {rope_.cos.to(options_.device), rope_.sin.to(options_.device)};
  rope_length_ = length;
  return rope_;
}

}  // namespace lowbit
