#pragma once

#include "kernels/cuda/cached_attention.h"
#include "kernels/cuda/checked.h"
#include "kernels/cuda/gated.h"

// From a call to the kernels of a decode step and the sizes of their grids, and what a call must be; the same on a GPU
// and on the tests' model of one.
namespace lowbit::kernels::cuda {

/// The floats and the counters that attention needs besides.
struct AttentionSpace {
  std::int64_t partials;
  std::int64_t arrivals;
  explicit AttentionSpace(const CachedAttentionCall& call)
      : partials(0), arrivals(attention_units(call.sequences, call.kv_heads, call.repeats)) {
    partials = attention_partial_floats(arrivals, call.repeats, AttentionParts::most(call), call.channels);
  }
};

template <int kHeads, typename Launcher>
bool dispatch_heads(const CachedAttentionCall& call, Launcher& launcher) {
  const auto units = static_cast<int>(attention_units(call.sequences, call.kv_heads, call.repeats));
  const auto launch = [&]<int kSlotLanes>() {
    using Kernel = CachedAttention<kHeads, kSlotLanes>;
    const GridSize grid = {{units, AttentionParts::most(call), 1}, Kernel::kSharedWords * 4};
    return launcher.template launch<Kernel>(grid, call);
  };
  if (call.channels <= 64) return launch.template operator()<8>();
  return call.channels <= 128 ? launch.template operator()<16>() : launch.template operator()<32>();
}

template <typename Launcher>
bool dispatch_cached_attention(const CachedAttentionCall& call, Launcher& launcher) {
  return attention_heads(call.repeats) == 1 ? dispatch_heads<1>(call, launcher) : dispatch_heads<4>(call, launcher);
}

inline const char* fault_of(const NormCall& call) {
  if (call.width < 8 || call.width % 8 != 0) return "the width of a norm is no multiple of 8";
  return nullptr;
}
inline const char* fault_of(const CachedAttentionCall& call) {
  if (call.channels < 8 || call.channels % 8 != 0 || call.channels > kMostHeadChannels) {
    return "heads have 8 to 256 channels, by eights";
  }
  if (call.kv_heads < 1 || call.repeats < 1 || call.capacity < 1) return "a cache has no heads or no tokens";
  const bool joins = AttentionParts::most(call) > 1;
  if (joins && (call.partials == nullptr || call.arrivals == nullptr)) return "attention has no memory for its parts";
  return nullptr;
}

/// `Launchers` makes a launcher of a `Launch` and a report.
template <typename Launchers>
struct CheckedStep {
  static bool norm_rows(const NormCall* call, const Launch* launch, Report* report) {
    return checked(*call, call->rows, *launch, report, [&](auto& launcher) {
      return launcher.template launch<NormRows>(GridSize{{call->rows, 1, 1}, NormRows::kSharedWords * 4}, *call);
    });
  }
  static bool gate_rows(const GateCall* call, const Launch* launch, Report* report) {
    *report = Report{};
    if (call->count == 0) return true;
    auto launcher = Launchers::make(*launch, report);
    return launcher.template launch<GateRows>(GridSize{{blocks_for(call->count, GateRows::kThreads * 8), 1, 1}, 0},
                                              *call);
  }
  static bool attend_cached(const CachedAttentionCall* call, const Launch* launch, Report* report) {
    return checked(*call, call->sequences, *launch, report,
                   [&](auto& launcher) { return dispatch_cached_attention(*call, launcher); });
  }
  static bool multiply_together(const HalfProduct* products, std::int32_t count, const Launch* launch, Report* report) {
    *report = Report{};
    if (const char* obstacle = together_obstacle(products, count)) return refuse(report, obstacle);
    if (products[0].tokens == 0) return true;
    auto launcher = Launchers::make(*launch, report);
    return dispatch_together(products, count, launcher);
  }
  static bool multiply_integers_together(const IntegerProduct* products, std::int32_t count, const Launch* launch,
                                         Report* report) {
    *report = Report{};
    if (const char* obstacle = together_obstacle(products, count)) return refuse(report, obstacle);
    if (products[0].tokens == 0) return true;
    auto launcher = Launchers::make(*launch, report);
    return for_width(products[0].weight.bits, report,
                     [&]<int kBits>() { return dispatch_together<kBits>(products, count, launcher); });
  }
  static bool multiply_gated(const GatedCall* call, const Launch* launch, Report* report) {
    *report = Report{};
    if (const char* obstacle = gated_obstacle(*call)) return refuse(report, obstacle);
    if (call->gate.tokens == 0) return true;
    auto launcher = Launchers::make(*launch, report);
    return dispatch_gated(*call, launcher);
  }

 private:
  template <typename Call, typename Action>
  static bool checked(const Call& call, int rows, const Launch& launch, Report* report, const Action& action) {
    *report = Report{};
    if (const char* fault = fault_of(call)) return refuse(report, fault);
    if (rows == 0) return true;
    auto launcher = Launchers::make(launch, report);
    return action(launcher);
  }
};

}  // namespace lowbit::kernels::cuda
