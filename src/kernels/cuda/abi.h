#pragma once

#include "kernels/cuda/attention_call.h"
#include "kernels/cuda/cached_attention.h"
#include "kernels/cuda/expand.h"
#include "kernels/cuda/expand_codes.h"
#include "kernels/cuda/gated.h"
#include "kernels/cuda/half_sums.h"
#include "kernels/cuda/hopper_float8.h"
#include "kernels/cuda/hopper_input.h"
#include "kernels/cuda/integer.h"
#include "kernels/cuda/kv_round.h"
#include "kernels/cuda/quantize.h"
#include "kernels/cuda/report.h"
#include "kernels/cuda/round_float8.h"
#include "kernels/cuda/rows.h"
#include "kernels/cuda/solve_columns.h"

// What liblowbit_cuda.so offers: one C function, which gives a table of functions. It throws nothing, prints nothing,
// and knows nothing of the rest of lowbit, so that it is built with a CUDA toolkit and used without one.
namespace lowbit::kernels::cuda {

/// Raised with every change of this file or of a structure that it or report.h names.
inline constexpr std::uint32_t kInterface = 14;

struct Device {
  char name[256];
  std::int32_t major;
  std::int32_t minor;
  std::int32_t multiprocessors;
  std::int32_t l2_bytes;
  std::uint64_t bytes;
  std::uint64_t free;
};

/// kHopperRoundedTurns: kHopperRounded's sums and bits, by groups of warps that take turns (`TurnRing`).
enum class HalfKernel : std::int32_t { kSkinny, kTiled, kHopper, kHopperRounded, kHopperSliced, kHopperRoundedTurns };

/// Every function returns whether it succeeded, and fills the report when not. Those that launch do not wait.
struct Table {
  std::uint32_t interface;
  bool (*count_devices)(std::int32_t* count, Report* report);
  bool (*describe_device)(std::int32_t device, Device* result, Report* report);
  bool (*use_device)(std::int32_t device, Report* report);
  bool (*allocate)(std::uint64_t bytes, void** result, Report* report);
  bool (*release)(void* memory, Report* report);
  bool (*copy_to_device)(void* to, const void* from, std::uint64_t bytes, Report* report);
  bool (*copy_to_host)(void* to, const void* from, std::uint64_t bytes, Report* report);
  bool (*copy_within)(void* to, const void* from, std::uint64_t bytes, void* stream, Report* report);
  bool (*fill)(void* memory, std::int32_t byte, std::uint64_t bytes, void* stream, Report* report);
  bool (*wait)(void* stream, Report* report);
  bool (*create_stream)(void** stream, Report* report);
  bool (*release_stream)(void* stream, Report* report);
  /// What is launched into the stream until `end_capture` is recorded as a graph in place of being run.
  bool (*begin_capture)(void* stream, Report* report);
  bool (*end_capture)(void* stream, void** graph, Report* report);
  bool (*launch_graph)(void* graph, void* stream, Report* report);
  bool (*release_graph)(void* graph, Report* report);
  bool (*create_event)(void** event, Report* report);
  bool (*record_event)(void* event, void* stream, Report* report);
  /// Waits for the second one.
  bool (*milliseconds_between)(void* first, void* second, float* result, Report* report);
  bool (*release_event)(void* event, Report* report);
  /// `number` is kFloat16 or kBFloat16, of the input. The tiled kernel has 4 and 8 bits and needs `aligned`; those
  /// for Hopper have 4 bits and take what `arrange_operands` made for blocks of `hopper_tokens` or
  /// kHopperRoundedTokens; kHopperSliced takes aligned input as it is, in `choose_slices`.
  bool (*half_product)(HalfKernel kernel, NumberKind number, const HalfProduct* call, const Launch* launch,
                       Report* report);
  bool (*quantize)(std::int32_t planes, const QuantizeCall* call, const Launch* launch, Report* report);
  bool (*integer_product)(std::int32_t planes, const IntegerProduct* call, const Launch* launch, Report* report);
  bool (*expand)(NumberKind number, const ExpandCall* call, const Launch* launch, Report* report);
  bool (*arrange)(const ArrangeCall* call, const Launch* launch, Report* report);
  bool (*round_tokens)(const KvRoundCall* call, const Launch* launch, Report* report);
  bool (*attend)(const AttentionCall* call, const Launch* launch, Report* report);
  bool (*arrange_operands)(const OperandCall* call, const Launch* launch, Report* report);
  bool (*expand_codes)(const ExpandCodesCall* call, const Launch* launch, Report* report);
  bool (*finish_bytes)(const FinishBytesCall* call, const Launch* launch, Report* report);
  bool (*expand_table)(NumberKind number, const ExpandCall* call, const Launch* launch, Report* report);
  /// Of the GPU in use; none where it does not run the kernels for Hopper, or the library was built without them.
  bool (*count_clusters)(HopperClusters* result, Report* report);
  bool (*norm_rows)(const NormCall* call, const Launch* launch, Report* report);
  bool (*gate_rows)(const GateCall* call, const Launch* launch, Report* report);
  bool (*attend_cached)(const CachedAttentionCall* call, const Launch* launch, Report* report);
  /// Up to three products of bfloat16 with 4 bits and as many tokens by the skinny kernel, in one launch.
  bool (*multiply_together)(const HalfProduct* products, std::int32_t count, const Launch* launch, Report* report);
  /// silu(gate) times up of two such products of one split, with matrices of one shape.
  bool (*multiply_gated)(const GatedCall* call, const Launch* launch, Report* report);
  /// As `integer_product` with one plane, of 8 bits and one group a row; `bytes` and `sums` are what `quantize` lays
  /// out for blocks of `hopper_byte_tokens`, and its totals.
  bool (*hopper_bytes)(ByteKernel kernel, const IntegerProduct* call, const Launch* launch, Report* report);
  /// As `integer_product` with one plane, of up to 4 bits with zero points up to 128, for many tokens.
  bool (*integer_tiles)(const IntegerProduct* call, const Launch* launch, Report* report);
  /// Up to three products of one width of weights, with as many tokens, eight at most, as `integer_product` with one
  /// plane makes them, in one launch.
  bool (*multiply_integers_together)(const IntegerProduct* products, std::int32_t count, const Launch* launch,
                                     Report* report);
  /// Activations rounded to E4M3: their numbers, or codes laid out for blocks of `hopper_byte_tokens`.
  bool (*round_float8)(const RoundFloat8Call* call, const Launch* launch, Report* report);
  /// Of weights of E4M3 (a table of 8 bits) with one group a row, and codes as `round_float8` lays them out.
  bool (*hopper_float8)(const Float8Product* call, const Launch* launch, Report* report);
  bool (*solve_columns)(const SolveColumnsCall* call, const Launch* launch, Report* report);
};

inline constexpr const char* kTableSymbol = "lowbit_cuda_table";
using TableFunction = const Table* (*)();

}  // namespace lowbit::kernels::cuda
