#include "kernels/cuda/route.h"

#include <fmt/format.h>

#include "kernels/cuda/hopper_dispatch.h"

namespace lowbit::kernels::cuda {

namespace {

/// Up to how many tokens `HopperSliced` makes products of such a matrix.
std::int32_t most_sliced_tokens(const Matrix& shape, const HopperClusters& clusters) {
  for (std::int32_t tokens = kMostSlicedTokens; tokens >= 16; tokens /= 2) {
    if (choose_slices(shape, tokens, clusters).clusters > 0) return tokens;
  }
  return 0;
}

}  // namespace

std::vector<RouteStart> routes_of(const Packed& layout, DeviceArithmetic arithmetic, const HopperClusters& clusters,
                                  std::int32_t float8_from) {
  const bool hopper = clusters.held[0] > 0;
  switch (arithmetic) {
    case DeviceArithmetic::kInt16: return {{Route::kIntegers, 1}};
    case DeviceArithmetic::kInt8:
      if (layout.shape.groups != 1) return {{Route::kIntegers, 1}};
      if (hopper && layout.shape.bits == 8) {
        return {{Route::kIntegers, 1}, {Route::kHopperBytes, kHopperBytesFrom}};
      }
      return {{Route::kIntegers, 1}, {Route::kExpandedBytes, kExpandedFromIntegers}};
    case DeviceArithmetic::kFloat8:
      if (hopper && layout.is_e4m3 && layout.shape.groups == 1 && float8_from != kNever) {
        return {{Route::kSkinny, 1}, {Route::kHopperFloat8, float8_from}};
      }
      break;
    case DeviceArithmetic::kHalf: break;
  }
  if (!hopper || layout.shape.bits != 4 || layout.has_table) {
    return {{Route::kSkinny, 1}, {Route::kExpandedHalves, kExpandedFromSkinny}};
  }
  std::vector<RouteStart> routes = {{Route::kSkinny, 1}};
  const std::int32_t sliced = most_sliced_tokens(layout.shape, clusters);
  if (sliced > 0) routes.push_back({Route::kHopperSliced, kHopperSlicedFrom});
  routes.push_back({Route::kHopper, sliced > 0 ? sliced + 1 : kHopperFrom});
  routes.push_back({Route::kHopperRounded, kHopperRoundedFrom});
  routes.push_back({Route::kExpandedHalves, kExpandedFromHopper});
  return routes;
}

Route route_for(std::span<const RouteStart> routes, std::int64_t tokens) {
  Route route = routes.front().route;
  for (const RouteStart& start : routes) {
    if (tokens >= start.tokens) route = start.route;
  }
  return route;
}

std::string route_name(Route route, DeviceArithmetic arithmetic) {
  switch (route) {
    case Route::kIntegers: return arithmetic == DeviceArithmetic::kInt16 ? "integers, two planes" : "integers";
    case Route::kSkinny: return "skinny";
    case Route::kHopperSliced: return "hopper (slices)";
    case Route::kHopper: return "hopper";
    case Route::kHopperRounded: return "hopper (rounded weights)";
    case Route::kHopperBytes: return "hopper (bytes)";
    case Route::kHopperFloat8: return "hopper (E4M3)";
    case Route::kExpandedHalves: return "expand + cuBLAS";
    case Route::kExpandedBytes: break;
  }
  return "expand + cuBLASLt";
}

std::string routes_text(std::span<const RouteStart> routes, DeviceArithmetic arithmetic) {
  std::string text = "cuda: ";
  for (std::size_t i = 0; i < routes.size(); ++i) {
    if (i > 0) text += ", ";
    text += route_name(routes[i].route, arithmetic);
    if (i + 1 < routes.size()) text += fmt::format(" up to {}{}", routes[i + 1].tokens - 1, i == 0 ? " tokens" : "");
  }
  return text;
}

}  // namespace lowbit::kernels::cuda
