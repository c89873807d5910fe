#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/cuda/pack.h"

// Which of the ways to carry a product out is the fastest for a number of tokens.
namespace lowbit::kernels::cuda {

/// What a GPU computes of a packed matrix and activations.
enum class DeviceArithmetic {
  kInt8,   ///< `Arithmetic::kInt8`, bit for bit
  kInt16,  ///< `Arithmetic::kInt16`, bit for bit
  /// 16-bit activations as they are; code - zero is exact, a group's sum is made in float32 by the matrix unit and
  /// meets its scale in float32. A token has the same bits in any batch, given matrix and GPU. By
  /// `Route::kExpandedHalves` weights are rounded to 16 bits, and a library adds up.
  kHalf,
};

enum class Route {
  kIntegers,        ///< `Integer`
  kSkinny,          ///< `Skinny`
  kHopper,          ///< `Hopper`
  kExpandedHalves,  ///< `Expand` to 16 bits, then a library's product
  kExpandedBytes,   ///< `ExpandCodes`, then a library's product of bytes, with the bits of kIntegers
};

/// A route with the least number of tokens that it is taken for.
struct RouteStart {
  Route route;
  std::int32_t tokens;
};

// Where a route becomes the fastest. Measured on an H100 SXM with 4096 x 11008, microseconds cold: 4 bits in groups of
// 128 by skinny 21 (8 tokens), 33 (16), 62 (32), 122 (64); by hopper 23 (16), 29 (32), 80 (128), 87 (256), 270 (1024);
// 8 bits with one scale a row by integers 50 (32), 87 (64), 153 (128), 1102 (1024). The library's products: bfloat16 38
// (up to 64), 42 (256), 120 (1024); bytes 21 (64), 24 (128), 69 (1024). Decoding all weights for them is taken as 45,
// which is what reading codes and writing 16-bit numbers takes of the memory's bandwidth.
inline constexpr std::int32_t kHopperFrom = 9;
inline constexpr std::int32_t kExpandedFromHopper = 257;
inline constexpr std::int32_t kExpandedFromSkinny = 33;
inline constexpr std::int32_t kExpandedFromIntegers = 65;

/// The routes of a matrix, in the order of their tokens; the first is for one token. `hopper`: whether the GPU has that
/// kernel.
[[nodiscard]] std::vector<RouteStart> routes_of(const Packed& layout, DeviceArithmetic arithmetic, bool hopper);
[[nodiscard]] Route route_for(std::span<const RouteStart> routes, std::int64_t tokens);
/// "skinny", "expand + cuBLAS".
[[nodiscard]] std::string route_name(Route route, DeviceArithmetic arithmetic);
/// "cuda: skinny up to 8 tokens, hopper up to 256, expand + cuBLAS".
[[nodiscard]] std::string routes_text(std::span<const RouteStart> routes, DeviceArithmetic arithmetic);

}  // namespace lowbit::kernels::cuda
