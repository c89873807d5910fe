#include "lowbit/tensor/decode.h"

#include <algorithm>
#include <functional>

#include "base/avx2.h"
#include "lowbit/base/error.h"
#include "lowbit/tensor/parallel.h"
#include "tensor/exponential.h"
#include "tensor/turn.h"

namespace lowbit {
namespace {

constexpr std::int64_t kLanes = DecodeCache::kLanes;

}  // namespace

bool decode_operations_available() { return has_avx2(); }

#if defined(__x86_64__)

namespace {

constexpr int kMostQueries = 4;

// Positions begin .. end - 1 of keys or values in the layout of `DecodeCache`, the first of them of `begin`.
struct Part {
  const void* numbers;
  bool narrow;  // bfloat16 rather than float32
  std::int64_t begin, end;
};

// Keys or values of a KV head: those before `handed` are read from `rows`, the others lie in the cache.
struct HeadSide {
  const RoundedRows* rows;
  std::int64_t handed;
  const std::byte* kept;  // of the position `handed`
  bool narrow;
};

// Queries that share a KV head: `count` of them (at most kMostQueries), `dim` apart, as are their outputs.
struct SharedHead {
  const float* q;
  float* out;
  HeadSide keys;
  HeadSide values;
  std::int64_t sequence, kv_head;
  float* scores;  // [count][stride]
  std::int64_t stride;
  std::int64_t first;  // position that is seen first
  std::int64_t length;
  std::int64_t dim;
  float scale;
};

// Numbers that are read from another form at a time. They stay in the first-level cache.
constexpr std::int64_t kTile = 4096;

// visit(part) for positions begin .. end - 1 in their order; `turn` lays rows of another form out as the cache does.
template <typename Turn, typename Visit>
void each_part(const SharedHead& head, const HeadSide& side, std::int64_t begin, std::int64_t end, Turn turn,
               Visit visit) {
  alignas(32) float rows[kTile];
  const std::int64_t positions = kTile / head.dim / kLanes * kLanes;
  while (begin < std::min(end, side.handed)) {
    const std::int64_t next = std::min(begin + positions, side.handed);
    side.rows->read(head.sequence, head.kv_head, begin, next - begin, rows);
    visit(Part{turn(rows, next - begin), false, begin, next});
    begin = next;
  }
  const std::int64_t bytes = side.narrow ? sizeof(std::uint16_t) : sizeof(float);
  if (begin < end) visit(Part{side.kept + (begin - side.handed) * head.dim * bytes, side.narrow, begin, end});
}

// How many numbers ahead keys and values are asked for: the processor's own prefetching ends with a page.
constexpr std::int64_t kAhead = 2048;
// Vectors of eight numbers that share a cache line.
template <typename Number>
constexpr std::int64_t kVectorsPerLine = 64 / (kLanes * static_cast<std::int64_t>(sizeof(Number)));

LOWBIT_AVX2 [[gnu::always_inline]] inline __m256 load_eight(const float* at) { return _mm256_load_ps(at); }
LOWBIT_AVX2 [[gnu::always_inline]] inline __m256 load_eight(const std::uint16_t* at) {
  const __m128i words = _mm_load_si128(reinterpret_cast<const __m128i*>(at));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
}

// Chains over a head's numbers, of kBlocks times eight keys and kQueries queries at once, from `key` of the part on.
template <int kQueries, int kBlocks, typename Number>
LOWBIT_AVX2 void score(const SharedHead& head, const Part& part, std::int64_t key) {
  __m256 sums[kQueries][kBlocks];
#pragma GCC unroll 8
  for (int i = 0; i < kQueries * kBlocks; ++i) sums[i / kBlocks][i % kBlocks] = _mm256_setzero_ps();
  const Number* keys = static_cast<const Number*>(part.numbers) + (key - part.begin) * head.dim;
  for (std::int64_t i = 0; i < head.dim; ++i) {
    __m256 numbers[kBlocks];
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
      const Number* vector = keys + (b * head.dim + i) * kLanes;
      if (i % kVectorsPerLine<Number> == 0) _mm_prefetch(vector + kAhead, _MM_HINT_T0);
      numbers[b] = load_eight(vector);
    }
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

// Rows as keys stand: eight side by side.
LOWBIT_AVX2 void turn_keys(const float* rows, std::int64_t count, std::int64_t dim, float* keys) {
  for (std::int64_t key = 0; key < count; key += kLanes) {
    for (std::int64_t i = 0; i < dim; i += kLanes) {
      turn_eight_by_eight(rows + key * dim + i, dim, keys + key * dim + i * kLanes, kLanes);
    }
  }
}

template <int kQueries, typename Number>
void score_part(const SharedHead& head, const Part& part) {
  constexpr int kBlocks = 8 / kQueries;
  std::int64_t key = part.begin;
  for (; key + kBlocks * kLanes <= part.end; key += kBlocks * kLanes) {
    score<kQueries, kBlocks, Number>(head, part, key);
  }
  for (; key < part.end; key += kLanes) score<kQueries, 1, Number>(head, part, key);
}

template <int kQueries>
void score_all(const SharedHead& head) {
  alignas(32) float turned[kTile];
  const auto turn = [&](const float* rows, std::int64_t count) {
    turn_keys(rows, count, head.dim, turned);
    return static_cast<const float*>(turned);
  };
  each_part(head, head.keys, head.first / kLanes * kLanes, head.length, turn, [&](const Part& part) {
    part.narrow ? score_part<kQueries, std::uint16_t>(head, part) : score_part<kQueries, float>(head, part);
  });
}

// exp(scale (score - largest)) in place of the scores of one query; what lies outside first .. length - 1 becomes 0.
LOWBIT_AVX2 void exponentials(const SharedHead& head, float* scores) {
  const float hidden = -__builtin_inff();
  const std::int64_t begin = head.first / kLanes * kLanes;
  const std::int64_t end = DecodeCache::padded(head.length);
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

// Goes on with the chains over the positions, of kVectors times eight numbers of each query's output.
template <int kQueries, int kVectors, typename Number>
LOWBIT_AVX2 void weigh(const SharedHead& head, const Part& part, std::int64_t first) {
  __m256 sums[kQueries][kVectors];
#pragma GCC unroll 12
  for (int i = 0; i < kQueries * kVectors; ++i) {
    sums[i / kVectors][i % kVectors] =
        _mm256_loadu_ps(head.out + i / kVectors * head.dim + first + i % kVectors * kLanes);
  }
  const Number* values = static_cast<const Number*>(part.numbers) + first;
  for (std::int64_t key = part.begin; key < part.end; ++key, values += head.dim) {
    __m256 numbers[kVectors];
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) {
      if (i % kVectorsPerLine<Number> == 0) _mm_prefetch(values + i * kLanes + kAhead, _MM_HINT_T0);
      numbers[i] = load_eight(values + i * kLanes);
    }
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
      const __m256 share = _mm256_broadcast_ss(head.scores + q * head.stride + key);
#pragma GCC unroll 8
      for (int i = 0; i < kVectors; ++i) sums[q][i] = _mm256_fmadd_ps(numbers[i], share, sums[q][i]);
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < kQueries * kVectors; ++i) {
    _mm256_storeu_ps(head.out + i / kVectors * head.dim + first + i % kVectors * kLanes,
                     sums[i / kVectors][i % kVectors]);
  }
}

template <int kQueries, typename Number>
void weigh_part(const SharedHead& head, const Part& part) {
  constexpr int kVectors = kQueries == 1 ? 8 : kQueries == 4 ? 2 : 4;
  std::int64_t i = 0;
  for (; i + kVectors * kLanes <= head.dim; i += kVectors * kLanes) weigh<kQueries, kVectors, Number>(head, part, i);
  for (; i < head.dim; i += kLanes) weigh<kQueries, 1, Number>(head, part, i);
}

template <int kQueries>
void weigh_all(const SharedHead& head) {
  const auto as_it_lies = [](const float* rows, std::int64_t) { return rows; };
  each_part(head, head.values, head.first, head.length, as_it_lies, [&](const Part& part) {
    part.narrow ? weigh_part<kQueries, std::uint16_t>(head, part) : weigh_part<kQueries, float>(head, part);
  });
}

template <int kQueries>
void attend(const SharedHead& head) {
  score_all<kQueries>(head);
  for (int q = 0; q < kQueries; ++q) exponentials(head, head.scores + q * head.stride);
  float sums[kQueries];
  add_up<kQueries>(head, sums);
  std::fill_n(head.out, kQueries * head.dim, 0.0F);
  weigh_all<kQueries>(head);
  for (std::int64_t i = 0; i < kQueries * head.dim; ++i) head.out[i] /= sums[i / head.dim];
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
  cache.reserve(1);
  const auto side = [&](const DecodeCache::Kept& kept, std::int64_t unit) {
    const std::int64_t place = (kept.handed() - kept.begin) * dim * cache.number_bytes();
    return HeadSide{kept.rows, kept.handed(), cache.first(kept, 0, unit) + place, cache.narrow_};
  };
  for (std::int64_t unit = 0; unit < cache.sequences_ * kv_heads; ++unit) {
    rotate_heads(k + unit * dim, 1, dim, cos, sin);
    cache.put(unit / kv_heads, unit % kv_heads, 1, k + unit * dim, v + unit * dim, dim, dim);
  }
  const auto attend_heads = [&](std::int64_t begin, std::int64_t end) {
    while (begin < end) {
      const std::int64_t unit = begin / repeats;
      const std::int64_t next = std::min({end, (unit + 1) * repeats, begin + kMostQueries});
      rotate_heads(q + begin * dim, next - begin, dim, cos, sin);
      const SharedHead shared{.q = q + begin * dim,
                              .out = out + begin * dim,
                              .keys = side(cache.keys_, unit),
                              .values = side(cache.values_, unit),
                              .sequence = unit / kv_heads,
                              .kv_head = unit % kv_heads,
                              .scores = scratch + begin * cache.capacity(),
                              .stride = cache.capacity(),
                              .first = window > 0 ? std::max<std::int64_t>(0, length - window) : 0,
                              .length = length,
                              .dim = dim,
                              .scale = static_cast<float>(scale)};
      attend(shared, next - begin);
      begin = next;
    }
  };
  // Heads, since there may be fewer KV heads than threads; by reference: nothing is allocated.
  parallel_for(cache.sequences_ * heads, 1, std::ref(attend_heads));
  cache.advance(1);
}

#else

void DecodeAttention::run(DecodeCache&) const {
  fail(ErrorCode::kInternal, "decode attention: this processor has no AVX2");
}

#endif

}  // namespace lowbit
