#pragma once

#include "kernels/cuda/checked.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/expand_codes.h"
#include "kernels/cuda/expand_table.h"

// From a call to the kernels around a library's product and the sizes of their grids, and what a call must be; the same
// on a GPU and on the tests' model of one.
namespace lowbit::kernels::cuda {

/// `Launchers::make(launch, report)` gives what starts kernels.
template <typename Launchers>
struct CheckedExpansion {
  static bool expand_codes(const ExpandCodesCall* call, const Launch* launch, Report* report) {
    *report = Report{};
    if (call->weight.table != nullptr) return refuse(report, "a table's codes are no numbers");
    auto launcher = Launchers::make(*launch, report);
    return for_width(call->weight.bits, report, [&]<int kBits>() {
      return launcher.template launch<ExpandCodes<kBits>>(grid_of<ExpandCodes<kBits>>(call->weight), *call);
    });
  }

  static bool finish_bytes(const FinishBytesCall* call, const Launch* launch, Report* report) {
    *report = Report{};
    if (call->weight.groups != 1 || call->weight.table != nullptr) {
      return refuse(report, "a product of whole rows has one scale for each, and no table");
    }
    if (call->tokens == 0) return true;
    auto launcher = Launchers::make(*launch, report);
    return launcher.template launch<FinishBytes>(
        {{blocks_for(call->weight.rows, FinishBytes::kThreads), blocks_for(call->tokens, FinishBytes::kTokens), 1}, 0},
        *call);
  }

  static bool expand_table(NumberKind number, const ExpandCall* call, const Launch* launch, Report* report) {
    *report = Report{};
    if (number == NumberKind::kFloat32) return refuse(report, "weights are expanded to 16 bits");
    if (call->weight.table == nullptr) return refuse(report, "the weight has no table");
    auto launcher = Launchers::make(*launch, report);
    const auto start = [&]<int kBits>() {
      const GridSize grid = grid_of<ExpandTable<kBits, BFloat16>>(call->weight);
      return number == NumberKind::kFloat16 ? launcher.template launch<ExpandTable<kBits, Float16>>(grid, *call)
                                            : launcher.template launch<ExpandTable<kBits, BFloat16>>(grid, *call);
    };
    if (call->weight.bits == 4) return start.template operator()<4>();
    if (call->weight.bits == 8) return start.template operator()<8>();
    return refuse(report, "tables have 4 or 8 bits");
  }

 private:
  template <typename Kernel>
  static GridSize grid_of(const Matrix& weight) {
    return {{tiles_of(weight), blocks_for(chunks_of(weight), Kernel::kThreads / kLanes), 1}, 0};
  }
};

}  // namespace lowbit::kernels::cuda
