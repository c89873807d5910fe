#pragma once

#include "kernels/cuda/device_thread.cuh"

// What a thread of Hopper does beyond others: copies in bulk that arrive at barriers in shared memory, and products of
// a group of four warps. Words of shared memory are named by their number, as everywhere.
namespace lowbit::kernels::cuda {

// A matrix instruction's accumulators, four and more at a time.
#define LOWBIT_SUMS1(n) "+f"(d[n][0]), "+f"(d[n][1]), "+f"(d[n][2]), "+f"(d[n][3])
#define LOWBIT_SUMS2(n) LOWBIT_SUMS1(n), LOWBIT_SUMS1(n + 1)
#define LOWBIT_SUMS4(n) LOWBIT_SUMS2(n), LOWBIT_SUMS2(n + 2)
#define LOWBIT_SUMS8(n) LOWBIT_SUMS4(n), LOWBIT_SUMS4(n + 4)
#define LOWBIT_SUMS16(n) LOWBIT_SUMS8(n), LOWBIT_SUMS8(n + 8)
#define LOWBIT_SUMS32(n) LOWBIT_SUMS16(n), LOWBIT_SUMS16(n + 16)
// `names`: the accumulators' places; those behind them are the left operand's four, the descriptor, and whether sums go
// on.
#define LOWBIT_GROUP_PRODUCT(shape, type, names, a, descriptor, go_on, sums)                                    \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " go_on                                                        \
               ", 0;\n"                                                                                         \
               "wgmma.mma_async.sync.aligned." shape ".f32." type "." type " {" names "}, {" a "}, " descriptor \
               ", p, 1, 1, 0;\n}\n"                                                                             \
               : sums                                                                                           \
               : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(right), "r"(static_cast<int>(add)))
#define LOWBIT_GROUP_PRODUCTS(type)                                                                                    \
  if constexpr (kTokenTiles == 2) {                                                                                    \
    LOWBIT_GROUP_PRODUCT("m64n16k16", type, LOWBIT_NAMES_0_7, "%8, %9, %10, %11", "%12", "%13", LOWBIT_SUMS2(0));      \
  } else if constexpr (kTokenTiles == 4) {                                                                             \
    LOWBIT_GROUP_PRODUCT("m64n32k16", type, LOWBIT_NAMES_0_15, "%16, %17, %18, %19", "%20", "%21", LOWBIT_SUMS4(0));   \
  } else if constexpr (kTokenTiles == 8) {                                                                             \
    LOWBIT_GROUP_PRODUCT("m64n64k16", type, LOWBIT_NAMES_0_31, "%32, %33, %34, %35", "%36", "%37", LOWBIT_SUMS8(0));   \
  } else if constexpr (kTokenTiles == 16) {                                                                            \
    LOWBIT_GROUP_PRODUCT("m64n128k16", type, LOWBIT_NAMES_0_63, "%64, %65, %66, %67", "%68", "%69", LOWBIT_SUMS16(0)); \
  } else {                                                                                                             \
    static_assert(kTokenTiles == 32);                                                                                  \
    LOWBIT_GROUP_PRODUCT("m64n256k16", type, LOWBIT_NAMES_0_127, "%128, %129, %130, %131", "%132", "%133",             \
                         LOWBIT_SUMS32(0));                                                                            \
  }
#define LOWBIT_NAMES_0_7 "%0, %1, %2, %3, %4, %5, %6, %7"
#define LOWBIT_NAMES_0_15 LOWBIT_NAMES_0_7 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define LOWBIT_NAMES_0_31 \
  LOWBIT_NAMES_0_15       \
  ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define LOWBIT_NAMES_0_63                                                            \
  LOWBIT_NAMES_0_31                                                                  \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47" \
  ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define LOWBIT_NAMES_0_127                                                                       \
  LOWBIT_NAMES_0_63                                                                              \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"             \
  ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"             \
  ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
  ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

class HopperThread : public DeviceThread {
 public:
  __device__ std::uint32_t shared_address(int word) const {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared_words + word));
  }

  // The same for all lanes, so that the compiler knows that their paths do not part.
  __device__ int warp() const { return __shfl_sync(0xFFFFFFFFU, index() / kLanes, 0); }

  // What all lanes of a warp have alike: said so that loops and addresses need no registers of each lane.
  __device__ int uniform(int value) const { return __shfl_sync(0xFFFFFFFFU, value, 0); }

  // A barrier of the four warps of a group.
  __device__ void sync_group() { asm volatile("bar.sync %0, 128;" ::"r"(1 + index() / 128) : "memory"); }
  // Four matrices of eight rows and columns of 16-bit numbers, as registers of matrix instructions hold them: each
  // column becomes 16 bytes of shared memory, which begin at the word that lane 8 m + j says for column j of matrix m.
  __device__ void store_columns(int word, const std::uint32_t (&matrices)[4]) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(word)),
                 "r"(matrices[0]), "r"(matrices[1]), "r"(matrices[2]), "r"(matrices[3])
                 : "memory");
  }

  // A barrier counts arrivals, and bytes of copies; a phase ends when both are there.
  __device__ void start_barrier(int word, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(word)), "r"(arrivals) : "memory");
  }
  // So that copies in bulk know of it.
  __device__ void fence_barriers() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  }
  // What this thread wrote to shared memory is seen by products of groups.
  __device__ void fence_operands() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
  __device__ void arrive(int word) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(word)) : "memory");
  }
  __device__ void expect(int word, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(word)), "r"(bytes)
                 : "memory");
  }
  // Until the phase ends that this is the parity of.
  __device__ void wait_barrier(int word, std::uint32_t parity) {
    asm volatile(
        "{\n.reg .pred done;\n"
        "again:\nmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n@!done bra again;\n}\n" ::"r"(
            shared_address(word)),
        "r"(parity)
        : "memory");
  }
  __device__ void copy_bulk(int word, const void* from, int bytes, int barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(word)),
                 "l"(from), "r"(bytes), "r"(shared_address(barrier))
                 : "memory");
  }

  // Of each thread of a group of four warps, which has as many as the launch gave it: all together never have more.
  template <int kRegisters>
  __device__ void give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
  }
  template <int kRegisters>
  __device__ void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
  }

  // Blocks of a cluster see each other's shared memory. Whoever waits sees what all did before they came.
  __device__ int cluster_rank() const {
    std::uint32_t rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return static_cast<int>(rank);
  }
  __device__ void sync_cluster() {
    asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
  }
  // The same in two parts, without what was written before: it says that they have come.
  __device__ void arrive_in_cluster() { asm volatile("barrier.cluster.arrive.relaxed;" ::: "memory"); }
  __device__ void wait_for_cluster() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }
  // At the barrier that lies at `word` in the cluster's block number `rank`. Of the block's own scope: a release to the
  // cluster waits for all that this thread has on its way, copies from memory among them.
  __device__ void arrive_at(int rank, int word) {
    asm volatile(
        "{\n.reg .b32 remote;\n"
        "mapa.shared::cluster.u32 remote, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [remote];\n}\n" ::"r"(shared_address(word)),
        "r"(rank)
        : "memory");
  }
  // A word of the shared memory of the cluster's block number `rank`.
  struct ClusterWord {
    std::uint32_t address;
    __device__ ClusterWord behind(int words) const { return {address + 4 * static_cast<std::uint32_t>(words)}; }
  };
  __device__ ClusterWord word_of(int rank, int word) const {
    ClusterWord result;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(result.address) : "r"(shared_address(word)), "r"(rank));
    return result;
  }
  // Sixteen bytes, which arrive at a barrier of the same block as copies do.
  __device__ void send(const ClusterWord& to, const Word4& words, const ClusterWord& barrier) {
    asm volatile(
        "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(to.address),
        "r"(words.x[0]), "r"(words.x[1]), "r"(words.x[2]), "r"(words.x[3]), "r"(barrier.address)
        : "memory");
  }
  // To the same place in each of the cluster's first `blocks` blocks, where it arrives at a barrier in the same place.
  __device__ void copy_bulk_to_all(int blocks, int word, const void* from, int bytes, int barrier) {
    const auto mask = static_cast<std::uint16_t>((1U << blocks) - 1U);
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1], %2, [%3], "
        "%4;" ::"r"(shared_address(word)),
        "l"(from), "r"(bytes), "r"(shared_address(barrier)), "h"(mask)
        : "memory");
  }

  // The products of a group of four warps are on their way until they are waited for: nobody may touch sums and left
  // operands before. What was written to registers is seen behind `begin`.
  __device__ void begin_group_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
  __device__ void commit_group_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
  template <int kPending>
  __device__ void wait_group_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
  }
  template <int kTokenTiles>
  __device__ void multiply_group(Float16, float (&d)[kTokenTiles][4], const std::uint32_t (&left)[4],
                                 std::uint64_t right, bool add) {
    LOWBIT_GROUP_PRODUCTS("f16")
  }
  template <int kTokenTiles>
  __device__ void multiply_group(BFloat16, float (&d)[kTokenTiles][4], const std::uint32_t (&left)[4],
                                 std::uint64_t right, bool add) {
    LOWBIT_GROUP_PRODUCTS("bf16")
  }
};

#undef LOWBIT_SUMS1
#undef LOWBIT_SUMS2
#undef LOWBIT_SUMS4
#undef LOWBIT_SUMS8
#undef LOWBIT_SUMS16
#undef LOWBIT_SUMS32
#undef LOWBIT_GROUP_PRODUCT
#undef LOWBIT_GROUP_PRODUCTS
#undef LOWBIT_NAMES_0_7
#undef LOWBIT_NAMES_0_15
#undef LOWBIT_NAMES_0_31
#undef LOWBIT_NAMES_0_63
#undef LOWBIT_NAMES_0_127

}  // namespace lowbit::kernels::cuda
