#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "kernels/cuda/hopper_input.h"
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
  /// Activations rounded to E4M3 with a scale for each token (`RoundFloat8`), multiplied as kHalf multiplies bfloat16
  /// or by `Route::kHopperFloat8`.
  kFloat8,
};

enum class Route {
  kIntegers,        ///< `Integer`
  kSkinny,          ///< `Skinny`
  kHopperSliced,    ///< `HopperSliced`
  kHopper,          ///< `HopperExact`
  kHopperRounded,   ///< `HopperRounded`, whose weights are rounded to 16 bits
  kHopperBytes,     ///< `HopperBytes`, with the bits of kIntegers
  kHopperFloat8,    ///< `HopperFloat8`, whose sums of 128 columns are made in some 14 bits
  kExpandedHalves,  ///< `Expand` to 16 bits, then a library's product
  kExpandedBytes,   ///< `ExpandCodes`, then a library's product of bytes, with the bits of kIntegers
};

/// A route with the least number of tokens that it is taken for.
struct RouteStart {
  Route route;
  std::int32_t tokens;
};

// Where a route becomes the fastest. Measured on an H100 SXM with 4096 x 11008, microseconds cold: 4 bits in groups of
// 128 by skinny 12 (8 tokens), 16 (16), 26 (32), 52 (64); in slices 14 (16), 15 (32), 21 (64); by hopper 20 (16), 23
// (32), 26 (64), 34 (128), 58 (256); with rounded weights 46 (128), 52 (256), 156 (1024), 1144 (8192); decoding all
// weights and then the library's product 85 (256), 165 (1024), 1024 (8192), of which some 37 are decoding. 8 bits with
// one scale a row, rounding of activations counted, by integers 25 (8), 36 (16), 83 (64); by hopper 26 (16), 27 (64),
// 33 (128), 105 (1024), 657 (8192); the library's product of bytes without what is in front of it and behind it 69
// (1024), 492 (8192).
inline constexpr std::int32_t kHopperSlicedFrom = 9;
inline constexpr std::int32_t kHopperFrom = 17;
inline constexpr std::int32_t kHopperRoundedFrom = 129;
inline constexpr std::int32_t kExpandedFromHopper = 1537;
inline constexpr std::int32_t kExpandedFromSkinny = 65;
inline constexpr std::int32_t kHopperBytesFrom = 9;
inline constexpr std::int32_t kExpandedFromIntegers = 65;

/// More tokens than a product has.
inline constexpr std::int32_t kNever = std::numeric_limits<std::int32_t>::max();
/// No GPU has run `HopperFloat8` yet, and certificates have no bound for its sums.
inline constexpr std::int32_t kHopperFloat8From = kNever;

/// The routes of a matrix, in the order of their tokens; the first is for one token. E4M3 weights of one group a row
/// take kHopperFloat8 from `float8_from` tokens on.
[[nodiscard]] std::vector<RouteStart> routes_of(const Packed& layout, DeviceArithmetic arithmetic,
                                                const HopperClusters& clusters,
                                                std::int32_t float8_from = kHopperFloat8From);
[[nodiscard]] Route route_for(std::span<const RouteStart> routes, std::int64_t tokens);
/// "skinny", "expand + cuBLAS".
[[nodiscard]] std::string route_name(Route route, DeviceArithmetic arithmetic);
/// "cuda: skinny up to 16 tokens, expand + cuBLAS".
[[nodiscard]] std::string routes_text(std::span<const RouteStart> routes, DeviceArithmetic arithmetic);

}  // namespace lowbit::kernels::cuda
