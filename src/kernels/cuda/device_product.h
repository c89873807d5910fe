#pragma once

#include <string>
#include <vector>

#include "kernels/cuda/library.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/route.h"

namespace lowbit::kernels::cuda {

/// One product. All memory is the GPU's; rows of `input` and `output` lie one behind the other.
struct DeviceCall {
  const std::byte* weight;  ///< the bytes of `Packed`, which begin on 256 bytes
  const void* input;        ///< [tokens][columns]
  void* output;             ///< [tokens][rows]
  NumberKind input_kind;    ///< kFloat16 or kBFloat16 for kHalf; not rounded yet for kFloat8
  NumberKind output_kind;
  const float* bias;  ///< [rows] or null
  std::int32_t tokens;
  std::byte* workspace;  ///< as many bytes as `workspace_bytes` says; begins on 256 bytes
  void* stream;          ///< where it is launched; nobody waits for it
};

/// What a product of 16-bit activations needs besides, in numbers, and where it lies. Products of one stream may share
/// it: they follow each other, and leave zeros in `arrivals`, which must be there before.
struct SkinnySizes {
  std::int64_t arranged;
  std::int64_t partials;
  std::int64_t arrivals;
};
struct SkinnySpace {
  std::uint16_t* arranged;
  float* partials;
  std::uint32_t* arrivals;
};

/// A product of 16-bit activations by the skinny kernel, with what is added to it on the way.
struct SkinnyCall {
  const std::byte* weight;
  const std::uint16_t* input;  ///< [tokens][columns]
  NumberKind kind;
  Target output;
  std::int32_t tokens;
  SkinnySpace space;
  Launch launch;
};

/// The same of a product of rounded activations: what `Quantize` writes for the kernel, and where shared tiles wait.
struct IntegerSizes {
  std::int64_t bytes;
  std::int64_t scales;
  std::int64_t sums;
  std::int64_t partials;
  std::int64_t arrivals;
};
struct IntegerSpace {
  std::int8_t* bytes;
  float* scales;
  std::int32_t* sums;
  std::int32_t* partials;
  std::uint32_t* arrivals;
  IntegerSpace() = default;
  IntegerSpace(class Parts& parts, const IntegerSizes& sizes);
};

/// Activations to be rounded: [tokens][columns] of `kind`, or what `QuantizeCall::rows` says is made of them.
struct RoundedInput {
  const void* input;
  NumberKind kind;
  RowsToRound rows = RowsToRound::kPlain;
  const std::uint16_t* other = nullptr;
  float epsilon = 0.0F;
};

/// Activations that become E4M3 numbers: `RoundFloat8Call`'s, with the GPU's memory.
struct Float8Rounding {
  const void* input;  ///< [tokens][columns]
  NumberKind kind;
  std::int32_t tokens;
  std::uint16_t* numbers;  ///< [tokens][columns], bfloat16
  float* scales;           ///< [tokens]
  void* stream;
};

/// A product of activations that have been rounded.
struct IntegerCall {
  Route route;  ///< kIntegers or kHopperBytes
  const std::byte* weight;
  Target output;
  std::int32_t tokens;
  IntegerSpace space;
  Launch launch;
};

/// Chooses kernels for one packed matrix and launches them.
///
///   const DeviceProduct product(library, 0, packed);
///   product.multiply(Route::kIntegers, DeviceArithmetic::kInt16, {weight, input, output, kind, kind, ...});
class DeviceProduct {
 public:
  /// Keeps the shape of `packed`, not its bytes. Throws as `Library::require_device` does.
  DeviceProduct(Library library, int device, const Packed& packed);
  [[nodiscard]] const Packed& layout() const { return layout_; }
  /// The library's functions, with the GPU as the thread's current one.
  [[nodiscard]] const Table& table() const;
  [[nodiscard]] std::vector<RouteStart> routes(DeviceArithmetic arithmetic) const;

  /// Of the routes that are kernels of ours alone: those without a library's product.
  [[nodiscard]] std::int64_t workspace_bytes(Route route, DeviceArithmetic arithmetic, std::int32_t tokens) const;
  /// Throws what CUDA reports of the launches.
  void multiply(Route route, DeviceArithmetic arithmetic, const DeviceCall& call) const;

  [[nodiscard]] int multiprocessors() const { return multiprocessors_; }
  [[nodiscard]] SkinnySizes skinny_sizes(std::int32_t tokens) const;
  [[nodiscard]] SkinnySizes skinny_sizes(std::int32_t tokens, int splits) const;
  /// On the thread's current device.
  void multiply(const SkinnyCall& call) const;
  /// Of `Arithmetic::kInt8` with one plane, of kInt16 with two. `route`: of kernels of ours alone.
  [[nodiscard]] IntegerSizes integer_sizes(Route route, int planes, std::int32_t tokens) const;
  void round(const IntegerCall& call, int planes, const RoundedInput& input) const;
  void multiply(const IntegerCall& call, int planes) const;
  /// Throws what CUDA reports of the launch.
  void round_float8(const Float8Rounding& rounding) const;
  [[nodiscard]] IntegerProduct integer_product(const IntegerCall& call) const;
  /// Whether `round` of either gives what the other's gives by the same route; columns have moved in neither.
  [[nodiscard]] bool rounds_as(const DeviceProduct& other) const;
  /// The skinny kernel's call, which reads what was arranged where columns have moved.
  [[nodiscard]] HalfProduct skinny_product(const SkinnyCall& call) const;

 private:
  void multiply_integers(Route route, int planes, const DeviceCall& call) const;
  void multiply_float8(const DeviceCall& call) const;
  void multiply_skinny(const DeviceCall& call) const;
  void multiply_sliced(const DeviceCall& call) const;
  [[nodiscard]] struct HopperSchedule hopper_schedule(Route route, std::int32_t tokens) const;
  void multiply_hopper(Route route, const DeviceCall& call) const;
  /// Activations in the order of places.
  void arrange(const std::byte* weight, const std::uint16_t* input, std::int32_t tokens, std::uint16_t* arranged,
               const Launch& launch) const;
  /// Whether places are not the columns as they are; what is arranged then.
  [[nodiscard]] bool moves_columns() const;
  [[nodiscard]] std::int64_t arranged_numbers(std::int32_t tokens) const;
  [[nodiscard]] std::int64_t runs() const;
  [[nodiscard]] std::int64_t places() const;
  Library library_;
  int device_;
  int multiprocessors_;
  HopperClusters clusters_;
  Packed layout_;  ///< without bytes
};

}  // namespace lowbit::kernels::cuda
