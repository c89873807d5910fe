#include "kernels/cuda/route.h"

#include <fmt/format.h>

namespace lowbit::kernels::cuda {

std::vector<RouteStart> routes_of(const Packed& layout, DeviceArithmetic arithmetic, bool hopper) {
  switch (arithmetic) {
    case DeviceArithmetic::kInt16: return {{Route::kIntegers, 1}};
    case DeviceArithmetic::kInt8:
      if (layout.shape.groups != 1) return {{Route::kIntegers, 1}};
      if (hopper && layout.shape.bits == 8) {
        return {{Route::kIntegers, 1}, {Route::kHopperBytes, kHopperBytesFrom}};
      }
      return {{Route::kIntegers, 1}, {Route::kExpandedBytes, kExpandedFromIntegers}};
    case DeviceArithmetic::kHalf: break;
  }
  if (!hopper || layout.shape.bits != 4 || layout.has_table) {
    return {{Route::kSkinny, 1}, {Route::kExpandedHalves, kExpandedFromSkinny}};
  }
  return {{Route::kSkinny, 1},
          {Route::kHopper, kHopperFrom},
          {Route::kHopperRounded, kHopperRoundedFrom},
          {Route::kExpandedHalves, kExpandedFromHopper}};
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
    case Route::kHopper: return "hopper";
    case Route::kHopperRounded: return "hopper (rounded weights)";
    case Route::kHopperBytes: return "hopper (bytes)";
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
