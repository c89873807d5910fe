#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "lowbit/model/decoder.h"
#include "lowbit/tensor/parallel.h"
#include "model/direct_block.h"
#include "model/packed_model.h"

namespace {

std::atomic<std::int64_t> allocations{0};
std::atomic<std::int64_t> regions{0};

void* counted(void* data) {
  ++allocations;
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

void* aligned(std::size_t size, std::size_t alignment) {
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

}  // namespace

// In place of those of the libraries, for this whole program: LibTorch takes memory for tensors by the last one.
// Inlined they would look to GCC like a mismatch of new and free.
[[gnu::noinline]] void* operator new(std::size_t size) { return counted(std::malloc(size == 0 ? 1 : size)); }
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted(aligned(size == 0 ? 1 : size, static_cast<std::size_t>(alignment)));
}
[[gnu::noinline]] void operator delete(void* data) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, std::size_t) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, std::size_t, std::align_val_t) noexcept { std::free(data); }
extern "C" int posix_memalign(void** data, std::size_t alignment, std::size_t size) {
  ++allocations;
  *data = aligned(size, alignment);
  return *data == nullptr ? ENOMEM : 0;
}

// Where a parallel region of OpenMP begins.
extern "C" void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags) {
  using Begin = void (*)(void (*)(void*), void*, unsigned, unsigned);
  static const auto begin = reinterpret_cast<Begin>(::dlsym(RTLD_NEXT, "GOMP_parallel"));
  ++regions;
  begin(body, data, threads, flags);
}

namespace lowbit {
namespace {

using lowbit::testing::four_bits;
using lowbit::testing::PackedModel;

constexpr std::int64_t kTokens = 12;

class DecodeStep : public PackedModel {
 protected:
  struct Counts {
    std::int64_t allocations = 0;
    std::int64_t regions = 0;
  };
  // Of all blocks and tokens behind the first.
  Counts read_tokens(std::int64_t sequences) const {
    const NoGradScope no_grad;
    const auto model = open(Execution::kPacked);
    DirectSpace space;
    std::vector<std::unique_ptr<DirectBlock>> blocks;
    for (std::int64_t i = 0; i < 2; ++i) {
      blocks.push_back(
          std::make_unique<DirectBlock>(*model->block(i), sequences, kTokens, DecodeCache::Room::kWhole, space));
    }
    at::Tensor hidden = model->embed(ids(sequences, 1)).contiguous();
    const RopeTable& rope = model->rope(kTokens);
    Counts before;
    for (std::int64_t token = 0; token < kTokens; ++token) {
      if (token == 1) before = {allocations, regions};
      for (const auto& block : blocks) {
        block->read(hidden.mutable_data_ptr<float>(), rope.cos.const_data_ptr<float>() + token * 8,
                    rope.sin.const_data_ptr<float>() + token * 8);
      }
    }
    return {allocations - before.allocations, regions - before.regions};
  }

  // Of whole tokens behind the first.
  static Counts read_greedily(const Model& model, std::int64_t sequences) {
    Decoder decoder(model, sequences, kTokens);
    EXPECT_EQ(decoder.detour(), "");
    std::vector<TokenId> ids(static_cast<std::size_t>(sequences), 3);
    Counts before;
    for (std::int64_t token = 0; token < kTokens; ++token) {
      if (token == 1) before = {allocations, regions};
      const auto ranked = decoder.read_ranked(ids, 1, Cancellation());
      for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = ranked[i].front().id;
    }
    return {allocations - before.allocations, regions - before.regions};
  }
};

TEST_F(DecodeStep, AllocatesNothingInFiveParallelRegionsABlock) {
  if (!decode_operations_available()) GTEST_SKIP() << "the processor lacks AVX2";
  write(four_bits());
  const int threads = thread_count();
  set_thread_count(2);
  for (const std::int64_t sequences : {1, 4}) {
    const Counts counts = read_tokens(sequences);
    EXPECT_EQ(counts.allocations, 0) << sequences;
    EXPECT_EQ(counts.regions, 5 * 2 * (kTokens - 1)) << sequences;
  }
  set_thread_count(threads);
}

// From id to id: embedding, blocks, final norm, head, the largest logit.
TEST_F(DecodeStep, AllocatesNothingForAWholeToken) {
  if (!decode_operations_available()) GTEST_SKIP() << "the processor lacks AVX2";
  write(four_bits());
  const auto floats = [&](DType dtype) {
    return Model::make(std::make_shared<testing::SmallModel>(folder_ / "base"), nullptr, {.dtype = dtype});
  };
  const int threads = thread_count();
  set_thread_count(2);
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    const auto packed = open(Execution::kPacked, Model::Residency::kResident, dtype);
    for (const auto& model : {packed, open(Execution::kSimulated, Model::Residency::kResident, dtype), floats(dtype)}) {
      for (const std::int64_t sequences : {1, 4}) {
        const Counts counts = read_greedily(*model, sequences);
        EXPECT_EQ(counts.allocations, 0) << dtype_name(dtype) << ", " << sequences;
        // Of two blocks; the head of 20 rows is one part.
        if (model != packed) continue;
        EXPECT_EQ(counts.regions, 10 * (kTokens - 1)) << dtype_name(dtype) << ", " << sequences;
      }
    }
  }
  set_thread_count(threads);
}

TEST_F(DecodeStep, CountsWhatItSaysItCounts) {
  const std::int64_t allocated = allocations;
  const auto number = std::make_unique<int>(1);
  const at::Tensor tensor = make_empty({1000}, DType::kFloat32);
  EXPECT_GE(allocations - allocated, 2 + *number - 1);
  const int threads = thread_count();
  set_thread_count(2);
  const std::int64_t begun = regions;
  parallel_for(2, 1, [](std::int64_t, std::int64_t) {});
  EXPECT_EQ(regions - begun, 1);
  set_thread_count(threads);
}

}  // namespace
}  // namespace lowbit
