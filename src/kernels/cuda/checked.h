#pragma once

#include <cstdio>

#include "kernels/cuda/abi.h"
#include "kernels/cuda/slice_ring.h"

// The part of the library's functions that launch which is the same on a GPU and on the tests' model of one: what a
// call must be, and which width it is for. `Widths` has the launching functions of each width.
namespace lowbit::kernels::cuda {

inline bool refuse(Report* report, const char* text) {
  report->failure = Failure::kArgument;
  std::snprintf(report->text, sizeof report->text, "%s", text);
  return false;
}

/// Calls action.operator()<bits>(), or refuses.
template <typename Action>
bool for_width(int bits, Report* report, const Action& action) {
  switch (bits) {
    case 2: return action.template operator()<2>();
    case 3: return action.template operator()<3>();
    case 4: return action.template operator()<4>();
    case 8: return action.template operator()<8>();
    default: return refuse(report, "weights have 2, 3, 4 or 8 bits");
  }
}

template <typename Widths>
struct Checked {
  static bool half_product(HalfKernel kernel, NumberKind number, const HalfProduct* call, const Launch* launch,
                           Report* report) {
    *report = Report{};
    if (number == NumberKind::kFloat32) return refuse(report, "the input of a 16-bit product is float32");
    if (call->tokens == 0) return true;
    if (call->splits < 1) return refuse(report, "a product has no splits");
    if (call->splits > 1 && (call->partials == nullptr || call->arrivals == nullptr)) {
      return refuse(report, "a product in splits has no memory for their sums");
    }
    if (call->weight.table != nullptr) {
      if (kernel != HalfKernel::kSkinny) return refuse(report, "the skinny kernel alone takes a table");
      if (call->weight.bits == 4) return Widths::template table<4>(number, *call, *launch, report);
      if (call->weight.bits == 8) return Widths::template table<8>(number, *call, *launch, report);
      return refuse(report, "tables have 4 or 8 bits");
    }
    if (kernel == HalfKernel::kSkinny) {
      return for_width(call->weight.bits, report,
                       [&]<int kBits>() { return Widths::template skinny<kBits>(number, *call, *launch, report); });
    }
    if (kernel == HalfKernel::kHopperSliced) {
      const Matrix& weight = call->weight;
      if (!has_plain_chunks(weight) || call->slices.clusters < 1 || call->slices.count() > chunks_of(weight) ||
          call->tokens > kMostSlicedTokens || !call->aligned || call->input_places < weight.steps * kStepColumns) {
        return refuse(report,
                      "the kernel in slices takes 4 bits in whole chunks, 64 aligned tokens at most, and slices");
      }
      return Widths::hopper_sliced(number, *call, *launch, report);
    }
    if (kernel == HalfKernel::kHopper || kernel == HalfKernel::kHopperRounded ||
        kernel == HalfKernel::kHopperRoundedTurns) {
      if (call->weight.bits != 4) return refuse(report, "the kernels for Hopper take 4 bits");
      if (call->stream.workers < 1) return refuse(report, "a product for Hopper has no workers");
      if (kernel == HalfKernel::kHopper) return Widths::hopper(number, *call, *launch, report);
      return kernel == HalfKernel::kHopperRounded ? Widths::hopper_rounded(number, *call, *launch, report)
                                                  : Widths::hopper_rounded_turns(number, *call, *launch, report);
    }
    if (call->splits != 1 || !call->aligned)
      return refuse(report, "the tiled kernel takes aligned input and one split");
    if (call->weight.bits == 4) return Widths::template tiled<4>(number, *call, *launch, report);
    if (call->weight.bits == 8) return Widths::template tiled<8>(number, *call, *launch, report);
    return refuse(report, "the tiled kernel takes 4 and 8 bits");
  }

  static bool integer_product(std::int32_t planes, const IntegerProduct* call, const Launch* launch, Report* report) {
    *report = Report{};
    if (planes != 1 && planes != 2) return refuse(report, "activations have one plane or two");
    if (call->weight.table != nullptr) return refuse(report, "a table has no integer product");
    if (call->tokens == 0) return true;
    return for_width(call->weight.bits, report,
                     [&]<int kBits>() { return Widths::template integer<kBits>(planes, *call, *launch, report); });
  }

  static bool integer_tiles(const IntegerProduct* call, const Launch* launch, Report* report) {
    *report = Report{};
    if (call->weight.table != nullptr) return refuse(report, "a table has no integer product");
    if (call->tokens == 0) return true;
    switch (call->weight.bits) {
      case 2: return Widths::template integer_tiles<2>(*call, *launch, report);
      case 3: return Widths::template integer_tiles<3>(*call, *launch, report);
      case 4: return Widths::template integer_tiles<4>(*call, *launch, report);
      default: return refuse(report, "the tiled kernel of integers takes 2, 3 and 4 bits");
    }
  }

  static bool expand(NumberKind number, const ExpandCall* call, const Launch* launch, Report* report) {
    *report = Report{};
    if (number == NumberKind::kFloat32) return refuse(report, "weights are expanded to 16 bits");
    if (call->weight.table != nullptr) return refuse(report, "a table is not expanded");
    return for_width(call->weight.bits, report,
                     [&]<int kBits>() { return Widths::template expand<kBits>(number, *call, *launch, report); });
  }

  static bool quantize(std::int32_t planes, const QuantizeCall* call, const Launch* launch, Report* report) {
    *report = Report{};
    if (planes != 1 && planes != 2) return refuse(report, "activations have one plane or two");
    if (call->tokens == 0) return true;
    if (call->block_tokens != 0 && (planes != 1 || call->totals == nullptr)) {
      return refuse(report, "integers are laid out for a product of one plane, with the totals of tokens");
    }
    if (call->block_tokens != 0 && call->block_tokens != hopper_byte_tokens(call->tokens)) {
      return refuse(report, "integers are laid out for blocks of another number of tokens");
    }
    if (call->rows != RowsToRound::kPlain) {
      if (planes != 1 || call->kind != NumberKind::kBFloat16 || call->sources != nullptr || call->other == nullptr) {
        return refuse(report, "rows that are normed or gated are bfloat16 in the order of columns, for one plane");
      }
    }
    return Widths::quantize(planes, *call, *launch, report);
  }

  static bool arrange(const ArrangeCall* call, const Launch* launch, Report* report) {
    *report = Report{};
    return call->tokens == 0 || Widths::arrange(*call, *launch, report);
  }

  static bool arrange_operands(const OperandCall* call, const Launch* launch, Report* report) {
    *report = Report{};
    if (call->block_tokens != hopper_tokens(call->tokens) && call->block_tokens != kHopperRoundedTokens) {
      return refuse(report, "activations are laid out for blocks of another number of tokens");
    }
    return call->tokens == 0 || Widths::arrange_operands(*call, *launch, report);
  }

  static bool hopper_bytes(ByteKernel kernel, const IntegerProduct* call, const Launch* launch, Report* report) {
    *report = Report{};
    if (call->weight.table != nullptr) return refuse(report, "a table has no integer product");
    if (call->weight.bits != 8) return refuse(report, "the kernel of bytes for Hopper takes 8 bits");
    if (call->weight.groups != 1) return refuse(report, "the kernel of bytes for Hopper takes one group a row");
    if (call->stream.workers < 1) return refuse(report, "a product for Hopper has no workers");
    return call->tokens == 0 || Widths::hopper_bytes(kernel, *call, *launch, report);
  }

  static bool round_float8(const RoundFloat8Call* call, const Launch* launch, Report* report) {
    *report = Report{};
    if (call->tokens == 0) return true;
    if ((call->numbers == nullptr) == (call->codes == nullptr)) {
      return refuse(report, "activations are rounded to E4M3 as numbers or as codes");
    }
    if (call->numbers != nullptr && call->sources != nullptr) {
      return refuse(report, "E4M3 numbers are written in the order of columns");
    }
    if (call->codes != nullptr && call->block_tokens != hopper_byte_tokens(call->tokens)) {
      return refuse(report, "E4M3 codes are laid out for blocks of another number of tokens");
    }
    return Widths::round_float8(*call, *launch, report);
  }

  static bool hopper_float8(const Float8Product* call, const Launch* launch, Report* report) {
    *report = Report{};
    if (call->weight.table == nullptr || call->weight.bits != 8) {
      return refuse(report, "the kernel of E4M3 for Hopper takes a table of 8 bits");
    }
    if (call->weight.groups != 1) return refuse(report, "the kernel of E4M3 for Hopper takes one group a row");
    if (call->stream.workers < 1) return refuse(report, "a product for Hopper has no workers");
    return call->tokens == 0 || Widths::hopper_float8(*call, *launch, report);
  }
};

}  // namespace lowbit::kernels::cuda
