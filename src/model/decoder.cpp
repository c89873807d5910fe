#include "lowbit/model/decoder.h"

#include <algorithm>

#include "lowbit/base/error.h"
#include "lowbit/model/kv_rounder.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"
#include "model/device_decoder.h"
#include "model/direct_block.h"
#include "model/direct_ends.h"
#include "model/ranking.h"
#include "model/token_range.h"

namespace lowbit {
namespace {

std::string obstacle_of(const Model& model, std::int64_t sequences) {
  const ComputeOptions& options = model.options();
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

at::Tensor ids_tensor(std::span<const TokenId> ids, std::int64_t sequences) {
  const std::vector<std::int64_t> wide(ids.begin(), ids.end());
  return tensor_of(std::span<const std::int64_t>(wide)).view({sequences, -1});
}

// Takes a whole prompt's keys and values into a cache that is read one token at a time.
class PromptCache : public KvCachePolicy {
 public:
  PromptCache(DecodeCache& cache, std::int64_t window) : cache_(cache), window_(window) {}
  at::Tensor append_and_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                               bool deterministic) override {
    if (cache_.length() != 0) fail(ErrorCode::kInternal, "prompt: {} tokens were read before", cache_.length());
    const auto in_rows = [](const at::Tensor& t) {
      const at::Tensor floats = to_dtype(t, DType::kFloat32);
      return floats.stride(3) == 1 ? floats : floats.contiguous();
    };
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
  Direct(const Model& model, std::int64_t sequences, std::int64_t limit)
      : model_(model),
        sequences_(sequences),
        limit_(limit),
        ends_(model, sequences),
        hidden_(static_cast<std::size_t>(sequences * model.architecture().hidden)),
        ranking_(sequences) {
    for (std::int64_t index = 0; index < model.architecture().layers; ++index) {
      kept_.push_back(model.block(index));
      rounding_.emplace_back(model.make_kv_cache(index));
      const auto room = rounding_.back().rounds() ? DecodeCache::Room::kGrowing : DecodeCache::Room::kWhole;
      blocks_.push_back(std::make_unique<DirectBlock>(*kept_.back(), sequences, limit, room, space_));
    }
  }

  // ids [sequences, tokens], behind `position` others.
  void read(std::span<const TokenId> ids, std::int64_t position, const Cancellation& cancellation) {
    const std::int64_t tokens = static_cast<std::int64_t>(ids.size()) / sequences_;
    const RopeTable& rope = model_.rope(limit_);
    if (position == 0 && tokens > 1) return read_prompt(ids, rope, cancellation);
    for (std::int64_t token = 0; token < tokens; ++token) {
      cancellation.check();
      ends_.embed(ids.data() + token, tokens, hidden_.data());
      read_token(rope, position + token);
    }
  }

  // What follows the last token read.
  at::Tensor logits() {
    at::Tensor all = make_empty({sequences_, model_.architecture().vocabulary}, DType::kFloat32);
    class Rows : public OutputSink {
     public:
      explicit Rows(at::Tensor& rows) : width_(rows.size(1)), rows_(rows.mutable_data_ptr<float>()) {}
      void take(std::int64_t row, std::int64_t first, std::span<const float> part) override {
        std::ranges::copy(part, rows_ + row * width_ + first);
      }

     private:
      std::int64_t width_;
      float* rows_;
    } rows(all);
    ends_.head(hidden_.data(), rows);
    return all;
  }
  void rank(std::int64_t count, std::vector<std::vector<RankedToken>>& ranked) {
    ranking_.restart(count);
    ends_.head(hidden_.data(), ranking_);
    ranking_.finish(ranked);
  }

  [[nodiscard]] std::int64_t bytes() const {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < blocks_.size(); ++i) sum += rounding_[i].bytes(blocks_[i]->cache());
    return sum;
  }

 private:
  void read_prompt(std::span<const TokenId> ids, const RopeTable& rope, const Cancellation& cancellation) {
    at::Tensor hidden = model_.embed(ids_tensor(ids, sequences_));
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      cancellation.check();
      PromptCache cache(blocks_[i]->cache(), model_.architecture().sliding_window);
      hidden = kept_[i]->forward(hidden, rope, &cache);
      rounding_[i].round(blocks_[i]->cache());
      blocks_[i]->cache().fit();
    }
    const at::Tensor last = to_dtype(hidden.select(1, hidden.size(1) - 1), DType::kFloat32).contiguous();
    std::ranges::copy(values_of<float>(last), hidden_.begin());
  }

  void read_token(const RopeTable& rope, std::int64_t position) {
    const std::int64_t place = position * model_.architecture().head_dim;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      blocks_[i]->read(hidden_.data(), rope.cos.const_data_ptr<float>() + place,
                       rope.sin.const_data_ptr<float>() + place);
      rounding_[i].round(blocks_[i]->cache());
    }
  }

  const Model& model_;
  std::int64_t sequences_, limit_;
  DirectSpace space_;
  std::vector<std::shared_ptr<Block>> kept_;
  std::vector<std::unique_ptr<DirectBlock>> blocks_;
  std::vector<CacheRounding> rounding_;
  DirectEnds ends_;
  std::vector<float> hidden_;  // of the last tokens read, [sequences, hidden]
  RankingSink ranking_;
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
  const std::int64_t tokens = ids.dim() == 2 && ids.size(0) == sequences_ ? ids.size(1) : 0;
  check_room(shape_of(ids), tokens);
  if (!direct_) return model_.head(read_states(ids, cancellation)).select(1, 0).cpu().contiguous();
  const at::Tensor rows = ids.contiguous();
  std::vector<TokenId> own;
  for (const std::int64_t id : values_of<std::int64_t>(rows)) {
    check_token(id, model_.architecture().vocabulary);
    own.push_back(static_cast<TokenId>(id));
  }
  direct_->read(own, length_, cancellation);
  length_ += tokens;
  return direct_->logits();
}

std::span<const std::vector<RankedToken>> Decoder::read_ranked(std::span<const TokenId> ids, std::int64_t count,
                                                               const Cancellation& cancellation) {
  const NoGradScope no_grad;
  const auto numbers = static_cast<std::int64_t>(ids.size());
  const std::int64_t tokens = numbers % sequences_ == 0 ? numbers / sequences_ : 0;
  if (tokens < 1 || length_ + tokens > limit_) check_room({numbers}, tokens);
  if (direct_) {
    direct_->read(ids, length_, cancellation);
    length_ += tokens;
    direct_->rank(std::min(count, model_.architecture().vocabulary), ranked_);
  } else {
    ranked_ = model_.rank(read_states(ids_tensor(ids, sequences_), cancellation).select(1, 0), count);
  }
  return ranked_;
}

void Decoder::check_room(const Shape& ids, std::int64_t tokens) const {
  if (tokens >= 1 && length_ + tokens <= limit_) return;
  fail(ErrorCode::kInternal, "decoder: ids {} behind {} positions, expected [{}, 1 to {}]", shape_text(ids), length_,
       sequences_, limit_ - length_);
}

at::Tensor Decoder::read_states(const at::Tensor& ids, const Cancellation& cancellation) {
  if (device_) {
    const at::Tensor normalised = device_->read(ids, cancellation);
    length_ += ids.size(1);
    return normalised;
  }
  at::Tensor hidden = model_.embed(ids);
  const RopeTable& rope = model_.rope(limit_);
  for (std::size_t i = 0; i < caches_.size(); ++i) {
    cancellation.check();
    hidden = model_.block(static_cast<std::int64_t>(i))->forward(hidden, rope, caches_[i].get());
  }
  length_ += ids.size(1);
  return model_.final_norm(hidden.narrow(1, ids.size(1) - 1, 1));
}

std::int64_t Decoder::cache_bytes() const {
  if (device_) return device_->cache_bytes();
  if (direct_) return direct_->bytes();
  std::int64_t sum = 0;
  for (const auto& cache : caches_) sum += cache->bytes();
  return sum;
}

}  // namespace lowbit
