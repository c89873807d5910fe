#include "lowbit/tensor/decode.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>
#include <new>

#include "lowbit/base/error.h"
#include "lowbit/tensor/parallel.h"
#include "tensor/exponential.h"

namespace lowbit {
namespace {

constexpr std::int64_t kLanes = 8;  // keys side by side
constexpr std::align_val_t kLine{64};

std::int64_t padded(std::int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

// Zeros, so that what is computed of keys that are not there yet is at least a number.
float* zeros(std::int64_t count) {
  const std::size_t bytes = static_cast<std::size_t>(std::max<std::int64_t>(count, 1)) * sizeof(float);
  auto* data = static_cast<float*>(::operator new(bytes, kLine));
  std::memset(data, 0, bytes);
  return data;
}

}  // namespace

void DecodeCache::Free::operator()(float* data) const { ::operator delete(data, kLine); }

DecodeCache::DecodeCache(std::int64_t sequences, std::int64_t kv_heads, std::int64_t dim, std::int64_t capacity)
    : kv_heads_(kv_heads), dim_(dim), capacity_(padded(capacity)), sequences_(sequences) {
  if (dim % kLanes != 0 || dim > kMostRotated) {
    fail(ErrorCode::kInternal, "decode cache: heads of {} numbers, expected a multiple of {} up to {}", dim, kLanes,
         kMostRotated);
  }
  keys_.reset(zeros(sequences * kv_heads * dim * capacity_));
  values_.reset(zeros(sequences * kv_heads * dim * capacity_));
}

std::int64_t DecodeCache::bytes() const {
  return 2 * sequences_ * kv_heads_ * dim_ * length_ * static_cast<std::int64_t>(sizeof(float));
}

float* DecodeCache::keys(std::int64_t sequence, std::int64_t head) const {
  return keys_.get() + (sequence * kv_heads_ + head) * dim_ * capacity_;
}

float* DecodeCache::values(std::int64_t sequence, std::int64_t head) const {
  return values_.get() + (sequence * kv_heads_ + head) * dim_ * capacity_;
}

void DecodeCache::put(std::int64_t sequence, std::int64_t head, std::int64_t tokens, const float* k, const float* v,
                      std::int64_t k_stride, std::int64_t v_stride) {
  if (length_ + tokens > capacity_) {
    fail(ErrorCode::kInternal, "decode cache: {} tokens behind {}, with room for {}", tokens, length_, capacity_);
  }
  for (std::int64_t token = 0; token < tokens; ++token) {
    const std::int64_t place = length_ + token;
    float* key = keys(sequence, head) + place / kLanes * kLanes * dim_ + place % kLanes;
    for (std::int64_t i = 0; i < dim_; ++i) key[i * kLanes] = k[token * k_stride + i];
    std::copy_n(v + token * v_stride, dim_, values(sequence, head) + place * dim_);
  }
}

void DecodeCache::advance(std::int64_t tokens) { length_ += tokens; }

template <typename Visit>
void DecodeCache::each_number(Side side, std::int64_t begin, std::int64_t count, Visit visit) const {
  LOWBIT_ASSERT(begin >= 0 && count >= 0 && begin + count <= length_);
  const bool of_keys = side == Side::kKeys;
  const std::int64_t step = of_keys ? kLanes : 1;
  std::int64_t number = 0;
  for (std::int64_t sequence = 0; sequence < sequences_; ++sequence) {
    for (std::int64_t head = 0; head < kv_heads_; ++head) {
      for (std::int64_t place = begin; place < begin + count; ++place) {
        float* row = of_keys ? keys(sequence, head) + place / kLanes * kLanes * dim_ + place % kLanes
                             : values(sequence, head) + place * dim_;
        for (std::int64_t i = 0; i < dim_; ++i) visit(row[i * step], number++);
      }
    }
  }
}

void DecodeCache::read(Side side, std::int64_t begin, std::int64_t count, float* rows) const {
  each_number(side, begin, count, [rows](float kept, std::int64_t number) { rows[number] = kept; });
}

void DecodeCache::replace(Side side, std::int64_t begin, std::int64_t count, const float* rows) {
  each_number(side, begin, count, [rows](float& kept, std::int64_t number) { kept = rows[number]; });
}

std::int64_t DecodeAttention::scratch_numbers(const DecodeCache& cache) const {
  return (heads / kv_heads) * cache.capacity();
}

#if defined(__x86_64__)

bool decode_operations_available() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

namespace {

constexpr int kMostQueries = 4;

// Queries that share a KV head: `count` of them (at most kMostQueries), `dim` apart, as are their outputs.
struct SharedHead {
  const float* q;
  float* out;
  const float* keys;
  const float* values;
  float* scores;  // [count][stride]
  std::int64_t stride;
  std::int64_t first;  // position that is seen first, a multiple of eight below it included
  std::int64_t length;
  std::int64_t dim;
  float scale;
};

// Chains over a head's numbers, of kBlocks times eight keys and kQueries queries at once.
template <int kQueries, int kBlocks>
LOWBIT_AVX2 void score(const SharedHead& head, std::int64_t key) {
  __m256 sums[kQueries][kBlocks];
#pragma GCC unroll 8
  for (int i = 0; i < kQueries * kBlocks; ++i) sums[i / kBlocks][i % kBlocks] = _mm256_setzero_ps();
  const float* keys = head.keys + key * head.dim;
  for (std::int64_t i = 0; i < head.dim; ++i) {
    __m256 numbers[kBlocks];
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) numbers[b] = _mm256_load_ps(keys + (b * head.dim + i) * kLanes);
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
      const __m256 query = _mm256_broadcast_ss(head.q + q * head.dim + i);
#pragma GCC unroll 8
      for (int b = 0; b < kBlocks; ++b) sums[q][b] = _mm256_fmadd_ps(numbers[b], query, sums[q][b]);
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) _mm256_storeu_ps(head.scores + q * head.stride + key + b * kLanes, sums[q][b]);
  }
}

template <int kQueries>
LOWBIT_AVX2 void score_all(const SharedHead& head) {
  constexpr int kBlocks = 8 / kQueries;
  std::int64_t key = head.first / kLanes * kLanes;
  for (; key + kBlocks * kLanes <= head.length; key += kBlocks * kLanes) score<kQueries, kBlocks>(head, key);
  for (; key < head.length; key += kLanes) score<kQueries, 1>(head, key);
}

// exp(scale (score - largest)) in place of the scores of one query; what lies outside first .. length - 1 becomes 0.
LOWBIT_AVX2 void exponentials(const SharedHead& head, float* scores) {
  const float hidden = -__builtin_inff();
  const std::int64_t begin = head.first / kLanes * kLanes;
  const std::int64_t end = padded(head.length);
  std::fill(scores + begin, scores + head.first, hidden);
  std::fill(scores + head.length, scores + end, hidden);
  __m256 largest = _mm256_set1_ps(hidden);
  for (std::int64_t key = begin; key < end; key += kLanes) {
    largest = _mm256_max_ps(largest, _mm256_loadu_ps(scores + key));
  }
  float lanes[kLanes];
  _mm256_storeu_ps(lanes, largest);
  largest = _mm256_set1_ps(*std::max_element(lanes, lanes + kLanes));
  const __m256 factor = _mm256_set1_ps(head.scale);
  for (std::int64_t key = begin; key < end; key += kLanes) {
    const __m256 difference = _mm256_sub_ps(_mm256_loadu_ps(scores + key), largest);
    _mm256_storeu_ps(scores + key, exponential(_mm256_mul_ps(difference, factor)));
  }
}

// Of all queries side by side, since each is a chain.
template <int kQueries>
void add_up(const SharedHead& head, float* sums) {
  float chains[kQueries] = {};
  for (std::int64_t key = head.first; key < head.length; ++key) {
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) chains[q] += head.scores[q * head.stride + key];
  }
  std::copy_n(chains, kQueries, sums);
}

// Chains over the keys, of kVectors times eight numbers of one query.
template <int kVectors>
LOWBIT_AVX2 void weigh(const SharedHead& head, int query, std::int64_t first, float sum) {
  __m256 sums[kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kVectors; ++i) sums[i] = _mm256_setzero_ps();
  const float* values = head.values + head.first * head.dim + first;
  for (std::int64_t key = head.first; key < head.length; ++key, values += head.dim) {
    const __m256 share = _mm256_broadcast_ss(head.scores + query * head.stride + key);
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) {
      sums[i] = _mm256_fmadd_ps(_mm256_load_ps(values + i * kLanes), share, sums[i]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kVectors; ++i) {
    _mm256_storeu_ps(head.out + query * head.dim + first + i * kLanes, _mm256_div_ps(sums[i], _mm256_set1_ps(sum)));
  }
}

template <int kQueries>
void attend(const SharedHead& head) {
  score_all<kQueries>(head);
  for (int q = 0; q < kQueries; ++q) exponentials(head, head.scores + q * head.stride);
  float sums[kQueries];
  add_up<kQueries>(head, sums);
  for (int q = 0; q < kQueries; ++q) {
    std::int64_t i = 0;
    for (; i + 8 * kLanes <= head.dim; i += 8 * kLanes) weigh<8>(head, q, i, sums[q]);
    for (; i < head.dim; i += kLanes) weigh<1>(head, q, i, sums[q]);
  }
}

void attend(const SharedHead& head, std::int64_t queries) {
  switch (queries) {
    case 1: return attend<1>(head);
    case 2: return attend<2>(head);
    case 3: return attend<3>(head);
    default: return attend<4>(head);
  }
}

}  // namespace

void DecodeAttention::run(DecodeCache& cache) const {
  const std::int64_t repeats = heads / kv_heads;
  const std::int64_t length = cache.length() + 1;
  const auto attend_units = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const std::int64_t sequence = unit / kv_heads;
      const std::int64_t head = unit % kv_heads;
      const std::int64_t place = (sequence * heads + head * repeats) * dim;
      rotate_heads(q + place, repeats, dim, cos, sin);
      rotate_heads(k + unit * dim, 1, dim, cos, sin);
      cache.put(sequence, head, 1, k + unit * dim, v + unit * dim, dim, dim);
      for (std::int64_t first = 0; first < repeats; first += kMostQueries) {
        const SharedHead shared{.q = q + place + first * dim,
                                .out = out + place + first * dim,
                                .keys = cache.keys(sequence, head),
                                .values = cache.values(sequence, head),
                                .scores = scratch + unit * repeats * cache.capacity(),
                                .stride = cache.capacity(),
                                .first = window > 0 ? std::max<std::int64_t>(0, length - window) : 0,
                                .length = length,
                                .dim = dim,
                                .scale = static_cast<float>(scale)};
        attend(shared, std::min<std::int64_t>(kMostQueries, repeats - first));
      }
    }
  };
  parallel_for(cache.sequences_ * kv_heads, 1, std::ref(attend_units));  // by reference: nothing is allocated
  cache.advance(1);
}

#else

bool decode_operations_available() { return false; }

void DecodeAttention::run(DecodeCache&) const {
  fail(ErrorCode::kInternal, "decode attention: this processor has no AVX2");
}

#endif

}  // namespace lowbit
