#include <vector>

#include "lowbit/model/model.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

// Hands its tokens to a cache one at a time.
class OneByOne : public KvCachePolicy {
 public:
  explicit OneByOne(KvCachePolicy& cache) : cache_(cache) {}
  at::Tensor append_and_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                               bool deterministic) override {
    return cache_.append_and_attend_each(q, k, v, scale, deterministic);
  }
  std::int64_t length() const override { return cache_.length(); }
  std::int64_t bytes() const override { return cache_.bytes(); }

 private:
  KvCachePolicy& cache_;
};

// The linears may see all tokens at once as long as each token stays by itself in them.
at::Tensor read_one_by_one(const Block& block, const at::Tensor& hidden, const RopeTable& rope, KvCachePolicy& cache) {
  if (!block.mixes_tokens()) {
    OneByOne each(cache);
    return block.forward(hidden, rope, &each);
  }
  std::vector<at::Tensor> tokens;
  for (std::int64_t token = 0; token < hidden.size(1); ++token) {
    tokens.push_back(block.forward(hidden.narrow(1, token, 1), rope, &cache));
  }
  return concatenate(tokens, 1);
}

}  // namespace

at::Tensor KvCachePolicy::append_and_attend_each(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                                 double scale, bool deterministic) {
  std::vector<at::Tensor> outputs;
  for (std::int64_t token = 0; token < q.size(2); ++token) {
    const auto one = [&](const at::Tensor& all) { return all.narrow(2, token, 1); };
    outputs.push_back(append_and_attend(one(q), one(k), one(v), scale, deterministic));
  }
  return concatenate(outputs, 2);
}

void Model::decode_batches(std::span<DecodedBatch> batches, const Cancellation& cancellation) const {
  for (std::int64_t index = 0; index < architecture().layers; ++index) {
    const std::shared_ptr<Block> current = block(index);
    for (DecodedBatch& batch : batches) {
      cancellation.check();
      const std::int64_t length = batch.hidden.size(1);
      const RopeTable& table = rope(length);
      const std::unique_ptr<KvCachePolicy> cache = make_kv_cache(index);
      const auto part = [&](std::int64_t begin, std::int64_t end) {
        return batch.hidden.narrow(1, begin, end - begin).contiguous();
      };
      std::vector<at::Tensor> read;
      if (batch.prefill > 0) read.push_back(current->forward(part(0, batch.prefill), table, cache.get()));
      if (batch.prefill < length) {
        read.push_back(read_one_by_one(*current, part(batch.prefill, length), table, *cache));
      }
      batch.hidden = concatenate(read, 1);
      batch.cache_bytes += cache->bytes();
    }
  }
}

}  // namespace lowbit
