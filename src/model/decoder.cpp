#include "lowbit/model/decoder.h"

#include <algorithm>

#include "lowbit/base/error.h"
#include "lowbit/model/kv_rounder.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"
#include "model/device_decoder.h"
#include "model/direct_block.h"

namespace lowbit {
namespace {

std::string obstacle_of(const Model& model, std::int64_t sequences) {
  const ComputeOptions& options = model.options();
  if (options.execution == Execution::kSimulated) return "products are simulated";
  if (!options.device.is_cpu()) return DeviceDecoder::obstacle(model, sequences);
  if (model.residency() != Model::Residency::kResident) return "blocks are streamed";
  if (model.weights().kv_cache() && dynamic_cast<KvRounder*>(model.make_kv_cache(0).get()) == nullptr) {
    return "what the model's cache does to keys and values cannot be done elsewhere";
  }
  for (std::int64_t index = 0; index < model.architecture().layers; ++index) {
    std::string obstacle = direct_obstacle(*model.block(index));
    if (!obstacle.empty()) return obstacle;
  }
  return "";
}

// Takes a whole prompt's keys and values into a cache that is read one token at a time.
class PromptCache : public KvCachePolicy {
 public:
  PromptCache(DecodeCache& cache, std::int64_t window) : cache_(cache), window_(window) {}
  at::Tensor append_and_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                               bool deterministic) override {
    if (cache_.length() != 0) fail(ErrorCode::kInternal, "prompt: {} tokens were read before", cache_.length());
    const auto in_rows = [](const at::Tensor& t) { return t.stride(3) == 1 ? t : t.contiguous(); };
    const at::Tensor keys = in_rows(k);
    const at::Tensor values = in_rows(v);
    const std::int64_t tokens = k.size(2);
    cache_.reserve(tokens);
    parallel_for(k.size(0) * k.size(1), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t unit = begin; unit < end; ++unit) {
        const std::int64_t sequence = unit / k.size(1);
        const std::int64_t head = unit % k.size(1);
        const auto first = [&](const at::Tensor& t) {
          return t.const_data_ptr<float>() + sequence * t.stride(0) + head * t.stride(1);
        };
        cache_.put(sequence, head, tokens, first(keys), first(values), keys.stride(2), values.stride(2));
      }
    });
    cache_.advance(tokens);
    return causal_attention(q, k, v, scale, window_, deterministic);
  }
  std::int64_t length() const override { return cache_.length(); }
  std::int64_t bytes() const override { return cache_.bytes(); }

 private:
  DecodeCache& cache_;
  std::int64_t window_;
};

// One side of a `DecodeCache`.
class DecodeSide : public KeptTokens {
 public:
  DecodeSide(DecodeCache& cache, DecodeCache::Side side) : cache_(cache), side_(side) {}
  at::Tensor read(std::int64_t begin, std::int64_t count) const override {
    at::Tensor rows = make_empty({cache_.sequences(), cache_.kv_heads(), count, cache_.dim()}, DType::kFloat32);
    cache_.read(side_, begin, count, rows.mutable_data_ptr<float>());
    return rows;
  }
  void hand_over(const RoundedRows& rows, std::int64_t count) override { cache_.hand_over(side_, rows, count); }

 private:
  DecodeCache& cache_;
  DecodeCache::Side side_;
};

// What rounds a layer's keys and values in a `DecodeCache`, if anything does.
class CacheRounding {
 public:
  explicit CacheRounding(std::unique_ptr<KvCachePolicy> policy)
      : policy_(std::move(policy)), rounder_(dynamic_cast<KvRounder*>(policy_.get())) {}
  void round(DecodeCache& cache) {
    if (rounder_ == nullptr) return;
    DecodeSide keys(cache, DecodeCache::Side::kKeys);
    DecodeSide values(cache, DecodeCache::Side::kValues);
    rounder_->round(cache.length(), keys, values);
  }
  [[nodiscard]] bool rounds() const { return rounder_ != nullptr; }
  [[nodiscard]] std::int64_t bytes(const DecodeCache& cache) const {
    if (rounder_ == nullptr) return cache.bytes();
    return rounder_->rounded_bytes(cache.length(), cache.token_bytes());
  }

 private:
  std::unique_ptr<KvCachePolicy> policy_;
  KvRounder* rounder_;
};

}  // namespace

class Decoder::Direct {
 public:
  Direct(const Model& model, std::int64_t sequences, std::int64_t limit) : model_(model) {
    for (std::int64_t index = 0; index < model.architecture().layers; ++index) {
      kept_.push_back(model.block(index));
      rounding_.emplace_back(model.make_kv_cache(index));
      const auto room = rounding_.back().rounds() ? DecodeCache::Room::kGrowing : DecodeCache::Room::kWhole;
      blocks_.push_back(std::make_unique<DirectBlock>(*kept_.back(), sequences, limit, room, space_));
    }
  }

  at::Tensor read_prompt(at::Tensor hidden, const RopeTable& rope, const Cancellation& cancellation) {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      cancellation.check();
      PromptCache cache(blocks_[i]->cache(), model_.architecture().sliding_window);
      hidden = kept_[i]->forward(hidden, rope, &cache);
      rounding_[i].round(blocks_[i]->cache());
      blocks_[i]->cache().fit();
    }
    return hidden;
  }

  // hidden [sequences, 1, hidden], of the position behind what was read.
  at::Tensor read_token(at::Tensor hidden, const RopeTable& rope, std::int64_t position) {
    hidden = hidden.contiguous();
    const std::int64_t place = position * model_.architecture().head_dim;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      blocks_[i]->read(hidden.mutable_data_ptr<float>(), rope.cos.const_data_ptr<float>() + place,
                       rope.sin.const_data_ptr<float>() + place);
      rounding_[i].round(blocks_[i]->cache());
    }
    return hidden;
  }

  [[nodiscard]] std::int64_t bytes() const {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < blocks_.size(); ++i) sum += rounding_[i].bytes(blocks_[i]->cache());
    return sum;
  }

 private:
  const Model& model_;
  DirectSpace space_;
  std::vector<std::shared_ptr<Block>> kept_;
  std::vector<std::unique_ptr<DirectBlock>> blocks_;
  std::vector<CacheRounding> rounding_;
};

Decoder::Decoder(const Model& model, std::int64_t sequences, std::int64_t limit)
    : model_(model), sequences_(sequences), limit_(limit), detour_(obstacle_of(model, sequences)) {
  if (detour_.empty() && !model.options().device.is_cpu()) {
    device_ = std::make_unique<DeviceDecoder>(model, sequences, limit);
    return;
  }
  if (detour_.empty()) {
    direct_ = std::make_unique<Direct>(model, sequences, limit);
    return;
  }
  for (std::int64_t i = 0; i < model.architecture().layers; ++i) caches_.push_back(model.make_kv_cache(i));
}

Decoder::~Decoder() = default;

at::Tensor Decoder::read(const at::Tensor& ids, const Cancellation& cancellation) {
  const NoGradScope no_grad;
  return model_.head(read_states(ids, cancellation)).select(1, 0).cpu().contiguous();
}

std::vector<std::vector<RankedToken>> Decoder::read_ranked(const at::Tensor& ids, std::int64_t count,
                                                           const Cancellation& cancellation) {
  const NoGradScope no_grad;
  return model_.rank(read_states(ids, cancellation).select(1, 0), count);
}

at::Tensor Decoder::read_states(const at::Tensor& ids, const Cancellation& cancellation) {
  const std::int64_t tokens = ids.dim() == 2 ? ids.size(1) : 0;
  if (tokens < 1 || ids.size(0) != sequences_ || length_ + tokens > limit_) {
    fail(ErrorCode::kInternal, "decoder: ids {} behind {} positions, expected [{}, 1 to {}]", shape_text(shape_of(ids)),
         length_, sequences_, limit_ - length_);
  }
  if (device_) {
    const at::Tensor normalised = device_->read(ids, cancellation);
    length_ += tokens;
    return normalised;
  }
  if (direct_ && length_ > 0 && tokens > 1) {
    for (std::int64_t token = 0; token + 1 < tokens; ++token) (void)read_states(ids.narrow(1, token, 1), cancellation);
    return read_states(ids.narrow(1, tokens - 1, 1), cancellation);
  }
  at::Tensor hidden = model_.embed(ids);
  const RopeTable& rope = model_.rope(limit_);
  if (direct_ && tokens == 1) {
    cancellation.check();
    hidden = direct_->read_token(std::move(hidden), rope, length_);
  } else if (direct_) {
    hidden = direct_->read_prompt(std::move(hidden), rope, cancellation);
  } else {
    for (std::size_t i = 0; i < caches_.size(); ++i) {
      cancellation.check();
      hidden = model_.block(static_cast<std::int64_t>(i))->forward(hidden, rope, caches_[i].get());
    }
  }
  length_ += tokens;
  return model_.final_norm(hidden.narrow(1, tokens - 1, 1));
}

std::int64_t Decoder::cache_bytes() const {
  if (device_) return device_->cache_bytes();
  if (direct_) return direct_->bytes();
  std::int64_t sum = 0;
  for (const auto& cache : caches_) sum += cache->bytes();
  return sum;
}

}  // namespace lowbit
