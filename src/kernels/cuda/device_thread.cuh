#pragma once

#include "kernels/cuda/decode.h"

// What a thread of the GPU does that C++ cannot say, each a line of PTX. The tests' EmulatedThread has the same
// members.
namespace lowbit::kernels::cuda {

extern __shared__ __align__(16) std::uint32_t shared_words[];

class DeviceThread {
 public:
  __device__ int index() const { return static_cast<int>(threadIdx.x); }
  __device__ int block(int dimension) const {
    return static_cast<int>(dimension == 0 ? blockIdx.x : dimension == 1 ? blockIdx.y : blockIdx.z);
  }
  __device__ int blocks(int dimension) const {
    return static_cast<int>(dimension == 0 ? gridDim.x : dimension == 1 ? gridDim.y : gridDim.z);
  }

  // Programmatic dependent launch: the next grid of the stream may start its threads; what the one before wrote is seen
  // behind the wait. Without that attribute of the launch both do nothing.
  __device__ void allow_next_grid() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
  }
  __device__ void wait_for_previous_grid() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
  }

  // Weights are read once: they stay out of the first-level cache. Loads are volatile so that they stay where they are
  // written, those of weights ahead of their use, those of activations behind the wait for the grid that wrote them.
  __device__ Word4 stream16(const void* from) {
    Word4 r;
    asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r.x[0]), "=r"(r.x[1]), "=r"(r.x[2]), "=r"(r.x[3])
                 : "l"(from));
    return r;
  }
  __device__ Word2 stream8(const void* from) {
    Word2 r;
    asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v2.u32 {%0, %1}, [%2];"
                 : "=r"(r.x[0]), "=r"(r.x[1])
                 : "l"(from));
    return r;
  }
  __device__ std::uint32_t stream4(const void* from) {
    std::uint32_t r;
    asm volatile("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(r) : "l"(from));
    return r;
  }
  __device__ Word4 read16(const void* from) {
    Word4 r;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r.x[0]), "=r"(r.x[1]), "=r"(r.x[2]), "=r"(r.x[3])
                 : "l"(from));
    return r;
  }
  __device__ Word2 read8(const void* from) {
    Word2 r;
    asm volatile("ld.global.v2.u32 {%0, %1}, [%2];" : "=r"(r.x[0]), "=r"(r.x[1]) : "l"(from));
    return r;
  }
  __device__ std::uint32_t read4(const void* from) {
    std::uint32_t r;
    asm volatile("ld.global.u32 %0, [%1];" : "=r"(r) : "l"(from));
    return r;
  }
  __device__ std::uint32_t read2(const void* from) {
    std::uint16_t r;
    asm volatile("ld.global.u16 %0, [%1];" : "=h"(r) : "l"(from));
    return r;
  }
  // Written by other blocks of this grid: the first-level cache may hold what was there before.
  __device__ float read_shared_by_blocks(const float* from) {
    float r;
    asm volatile("ld.global.cg.f32 %0, [%1];" : "=f"(r) : "l"(from));
    return r;
  }
  __device__ Word4 read16_shared_by_blocks(const void* from) {
    Word4 r;
    asm volatile("ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r.x[0]), "=r"(r.x[1]), "=r"(r.x[2]), "=r"(r.x[3])
                 : "l"(from));
    return r;
  }
  __device__ std::uint32_t atomic_add(std::uint32_t* target, std::uint32_t value) { return atomicAdd(target, value); }
  // Adds one to a counter in memory; who waits for it sees what this thread's warp wrote before it met.
  __device__ void signal(std::uint32_t* counter) {
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(counter) : "memory");
  }
  __device__ void wait_for_signals(const std::uint32_t* counter, std::uint32_t count) {
    std::uint32_t found;
    do {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(found) : "l"(counter) : "memory");
    } while (found != count);
  }
  __device__ void fence() { __threadfence(); }
  __device__ void sync() { __syncthreads(); }
  __device__ void sync_warp() { __syncwarp(); }
  template <typename T>
  __device__ T shuffle_xor(T value, int mask) {
    return __shfl_xor_sync(0xFFFFFFFFU, value, mask);
  }

  __device__ void multiply_add(Float16, float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                               std::uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
  __device__ void multiply_add(BFloat16, float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                               std::uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
  // Unsigned bytes times signed ones; sums wrap.
  __device__ void multiply_add_bytes(std::int32_t (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                     std::uint32_t b1) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
  // Bytes with a sign times others; sums wrap.
  __device__ void multiply_add_signed_bytes(std::int32_t (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                            std::uint32_t b1) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }

  template <typename T>
  class Shared {
   public:
    __device__ T load(int index) const { return reinterpret_cast<const T*>(shared_words)[index]; }
    __device__ void store(int index, T value) { reinterpret_cast<T*>(shared_words)[index] = value; }
    // Whatever other threads add to the same word.
    __device__ void add(int index, T value) { atomicAdd(reinterpret_cast<T*>(shared_words) + index, value); }
    __device__ Word4 load16(int index) const { return *reinterpret_cast<const Word4*>(shared_words + index); }
    __device__ Word2 load8(int index) const {
      const uint2 words = *reinterpret_cast<const uint2*>(shared_words + index);
      return {{words.x, words.y}};
    }
    __device__ void store16(int index, const Word4& words) { *reinterpret_cast<Word4*>(shared_words + index) = words; }
    // Copies 16 bytes while the thread goes on; zeros in place of what is not present, though `from` must be legal.
    __device__ void copy_async16(int index, const void* from, bool present) {
      const auto to = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_words + index));
      const std::uint32_t bytes = present ? 16 : 0;
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
    }
    // As many as 4 or 8 bytes, through the first-level cache.
    template <int kBytes>
    __device__ void copy_async(int index, const void* from, bool present) {
      const auto to = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_words + index));
      const std::uint32_t bytes = present ? kBytes : 0;
      asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(from), "n"(kBytes), "r"(bytes)
                   : "memory");
    }
  };
  template <typename T>
  __device__ Shared<T> shared() {
    static_assert(sizeof(T) == 4);
    return {};
  }
  __device__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
  template <int kPending>
  __device__ void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
  }
};

}  // namespace lowbit::kernels::cuda
