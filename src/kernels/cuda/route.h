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
  /// `Route::kExpandedHalves` and `Route::kHopperRounded` weights are rounded to 16 bits.
  kHalf,
};

enum class Route {
  kIntegers,        ///< `Integer`
  kSkinny,          ///< `Skinny`
  kHopper,          ///< `HopperExact`
  kHopperRounded,   ///< `HopperRounded`, whose weights are rounded to 16 bits
  kHopperBytes,     ///< `HopperBytes`, with the bits of kIntegers
  kExpandedHalves,  ///< `Expand` to 16 bits, then a library's product
  kExpandedBytes,   ///< `ExpandCodes`, then a library's product of bytes, with the bits of kIntegers
};

/// A route with the least number of tokens that it is taken for.
struct RouteStart {
  Route route;
  std::int32_t tokens;
};

// Where a route becomes the fastest. Measured on an H100 SXM with 4096 x 11008, microseconds cold: 4 bits in groups of
// 128 by skinny 20 (16 tokens), 25 (32), 52 (64), 99 (128); by hopper 20 (16), 23 (32), 37 (64), 43 (128), 89 (256),
// 273 (1024); decoding all weights and then the library's product 85 (256), 164 (1024). 8 bits with one scale a row by
// integers 50 (32), 87 (64), 151 (128), 1101 (1024); the library's product of bytes 21 (64), 24 (128), 70 (1024), and
// decoding is taken as 40 in front of it, from the bytes that it moves.
inline constexpr std::int32_t kHopperFrom = 17;
inline constexpr std::int32_t kHopperRoundedFrom = 129;
inline constexpr std::int32_t kExpandedFromSkinny = 65;
inline constexpr std::int32_t kExpandedFromIntegers = 65;

/// The routes of a matrix, in the order of their tokens; the first is for one token. `hopper`: whether the GPU has that
/// kernel.
[[nodiscard]] std::vector<RouteStart> routes_of(const Packed& layout, DeviceArithmetic arithmetic, bool hopper);
[[nodiscard]] Route route_for(std::span<const RouteStart> routes, std::int64_t tokens);
/// "skinny", "expand + cuBLAS".
[[nodiscard]] std::string route_name(Route route, DeviceArithmetic arithmetic);
/// "cuda: skinny up to 16 tokens, hopper up to 128, expand + cuBLAS".
[[nodiscard]] std::string routes_text(std::span<const RouteStart> routes, DeviceArithmetic arithmetic);

}  // namespace lowbit::kernels::cuda
