#include "lowbit/formats/certificate.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/every_isa.h"
#include "formats/certificate_inputs.h"
#include "lowbit/base/error.h"
#include "lowbit/base/half.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/packed.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

// Rows that are decoded at a time, so that a large matrix never exists in floats.
constexpr std::int64_t kDecodedElements = std::int64_t{1} << 20;
constexpr std::int64_t kLanes = CertificateInputs::kLanes;
constexpr double kUnit = 0x1p-24;      // half the distance of 1 to the next float
constexpr double kLeast = 0x1p-149;    // the least float: what is below its half is lost
constexpr double kUnit16 = 0x1p-8;     // as kUnit, of bfloat16
constexpr double kLeast16 = 0x1p-133;  // as kLeast
constexpr double kNormal = 0x1p-126;   // what is below it, units of bfloat16 may take for zero

// Rows begin .. end - 1 as they decode, without the outliers.
at::Tensor decoded_rows(const QuantizedWeight& weight, std::int64_t begin, std::int64_t end) {
  QuantizedWeight part = weight;
  const auto rows = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.narrow(0, begin, end - begin).contiguous() : tensor;
  };
  part.codes = rows(weight.codes);
  part.scales = rows(weight.scales);
  part.zeros = rows(weight.zeros);
  part.nested_scales.reset();
  part.nested_zeros.reset();
  part.outliers.reset();
  return part.dequantize().contiguous();
}

// A row of the reference and the sums that its bound is made of, each of all tokens.
struct RowSums {
  explicit RowSums(std::int64_t tokens)
      : product(static_cast<std::size_t>(tokens)), magnitude(product), rounding(product) {}
  std::vector<double> product;
  std::vector<double> magnitude;  // the same of magnitudes
  std::vector<double> rounding;   // |x - rounded x| |w|
  double largest_weight = 0;      // |w|
};

// What a way to multiply gave.
struct Outputs {
  std::vector<float> numbers;  // [tokens][rows]
  bool rounds_weight;
};

// Where eight tokens' sums go.
struct LaneSums {
  double* product;
  double* magnitude;
  double* rounding;
};

// Vectors of any width give the same bits: each token is a chain of its own, and nothing is fused.
LOWBIT_EVERY_ISA
void add_lanes(const float* numbers, std::int64_t count, const double* x, const double* lost, std::int64_t stride,
               const LaneSums& sums) {
  double product[kLanes] = {};
  double magnitude[kLanes] = {};
  double rounding[kLanes] = {};
  for (std::int64_t column = 0; column < count; ++column) {
    const double w = numbers[column];
    for (std::int64_t i = 0; i < kLanes; ++i) {
      const double term = x[column * stride + i] * w;
      product[i] += term;
      magnitude[i] += std::abs(term);
      rounding[i] += std::abs(lost[column * stride + i] * w);
    }
  }
  std::copy_n(product, kLanes, sums.product);
  std::copy_n(magnitude, kLanes, sums.magnitude);
  std::copy_n(rounding, kLanes, sums.rounding);
}

// Not worth waking other threads for.
bool is_small(const QuantizedWeight& weight) { return weight.codes.numel() < (std::int64_t{1} << 16); }

class Comparison {
 public:
  Comparison(const QuantizedWeight& weight, const CertifiedProduct& product)
      : weight_(weight), product_(product), inputs_(weight, product.rounding), tokens_(inputs_.tokens()) {
    find_outliers();
  }

  Certificate run() {
    multiply();
    std::vector<Certificate> worst(static_cast<std::size_t>(weight_.rows()));
    const std::int64_t step = std::max<std::int64_t>(1, kDecodedElements / weight_.columns());
    for (std::int64_t begin = 0; begin < weight_.rows(); begin += step) {
      const std::int64_t end = std::min(begin + step, weight_.rows());
      const at::Tensor decoded = decoded_rows(weight_, begin, end);
      const auto numbers = values_of<float>(decoded);
      parallel_for(end - begin, is_small(weight_) ? end - begin : 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; ++row) {
          worst[static_cast<std::size_t>(begin + row)] = compare(begin + row, numbers.data() + row * weight_.columns());
        }
      });
    }
    Certificate result;
    for (const Certificate& row : worst) {
      const double relative = std::max(result.relative_error, row.relative_error);
      if (row.worst_share > result.worst_share) result = row;
      result.relative_error = relative;
    }
    result.kernels = product_.kernels;
    result.outputs = static_cast<std::int64_t>(outputs_.size()) * tokens_ * weight_.rows();
    return result;
  }

 private:
  void find_outliers() {
    begins_.assign(static_cast<std::size_t>(weight_.rows()) + 1, 0);
    if (!weight_.outliers) return;
    for (const std::int32_t row : values_of<std::int32_t>(weight_.outliers->rows)) {
      ++begins_[static_cast<std::size_t>(row) + 1];
    }
    for (std::size_t row = 0; row + 1 < begins_.size(); ++row) begins_[row + 1] += begins_[row];
  }

  // All ways in which kernels may take tokens.
  void multiply() {
    outputs_.push_back({products(product_.multiply, 0, tokens_), false});
    Outputs alone{{}, false};
    for (std::int64_t token = 0; token < tokens_; ++token) {
      const std::vector<float> one = products(product_.multiply, token, 1);
      alone.numbers.insert(alone.numbers.end(), one.begin(), one.end());
    }
    outputs_.push_back(std::move(alone));
    for (const CertifiedWay& way : product_.others) {
      outputs_.push_back({products(way.multiply, 0, tokens_), way.rounds_weight});
    }
  }

  [[nodiscard]] std::vector<float> products(const MultiplyTokens& multiply, std::int64_t first,
                                            std::int64_t tokens) const {
    const auto columns = static_cast<std::size_t>(weight_.columns());
    const std::span<const float> inputs(inputs_.values());
    return multiply(
        inputs.subspan(static_cast<std::size_t>(first) * columns, static_cast<std::size_t>(tokens) * columns), tokens);
  }

  [[nodiscard]] RowSums reference(const float* decoded, std::int64_t row, bool rounds_weight) const {
    const std::int64_t padded = inputs_.padded_tokens();
    RowSums sums(padded);
    std::vector<float> numbers(decoded, decoded + weight_.columns());
    for (float& number : numbers) {
      if (rounds_weight) number = bfloat16_to_float(float_to_bfloat16(number));
      sums.largest_weight = std::max(sums.largest_weight, static_cast<double>(std::abs(number)));
    }
    const auto places = outliers(row);
    for (const auto& [column, value] : places) numbers[static_cast<std::size_t>(column)] = 0;
    for (std::int64_t lane = 0; lane < padded; lane += kLanes) {
      add_lanes(numbers.data(), weight_.columns(), inputs_.reference() + lane, inputs_.lost() + lane, padded,
                {sums.product.data() + lane, sums.magnitude.data() + lane, sums.rounding.data() + lane});
    }
    // Outliers meet the activation itself.
    for (const auto& [column, value] : places) {
      for (std::int64_t token = 0; token < tokens_; ++token) {
        const double term =
            static_cast<double>(inputs_.values()[static_cast<std::size_t>(token * weight_.columns() + column)]) *
            static_cast<double>(value);
        sums.product[static_cast<std::size_t>(token)] += term;
        sums.magnitude[static_cast<std::size_t>(token)] += std::abs(term);
      }
    }
    return sums;
  }

  // Column and value of a row's.
  [[nodiscard]] std::vector<std::pair<std::int32_t, float>> outliers(std::int64_t row) const {
    std::vector<std::pair<std::int32_t, float>> result;
    for (std::int64_t i = begins_[static_cast<std::size_t>(row)]; i < begins_[static_cast<std::size_t>(row) + 1]; ++i) {
      const auto at = static_cast<std::size_t>(i);
      result.emplace_back(values_of<std::int32_t>(weight_.outliers->columns)[at],
                          values_of<float>(weight_.outliers->values)[at]);
    }
    return result;
  }

  [[nodiscard]] Certificate compare(std::int64_t row, const float* decoded) const {
    const RowSums sums = reference(decoded, row, false);
    std::optional<RowSums> rounded;
    Certificate worst;
    for (const Outputs& outputs : outputs_) {
      if (outputs.rounds_weight && !rounded) rounded = reference(decoded, row, true);
      const RowSums& expected = outputs.rounds_weight ? *rounded : sums;
      for (std::int64_t token = 0; token < tokens_; ++token) {
        const auto t = static_cast<std::size_t>(token);
        const double product = outputs.numbers[static_cast<std::size_t>(token * weight_.rows() + row)];
        if (inputs_.is_ordinary(token) && sums.magnitude[t] > 0) {
          worst.relative_error =
              std::max(worst.relative_error, std::abs(product - sums.product[t]) / sums.magnitude[t]);
        }
        const double error = std::abs(product - expected.product[t]);
        const double bound = bound_of(row, token, expected, outputs.rounds_weight);
        const double share = std::isfinite(error) ? error / bound : HUGE_VAL;
        if (!(share > worst.worst_share)) continue;
        worst.worst_error = error;
        worst.bound = bound;
        worst.worst_share = share;
        worst.row = row;
        worst.input = inputs_.name(token);
      }
    }
    return worst;
  }

  [[nodiscard]] double bound_of(std::int64_t row, std::int64_t token, const RowSums& sums, bool rounds_result) const {
    const auto t = static_cast<std::size_t>(token);
    const std::int64_t outliers = begins_[static_cast<std::size_t>(row) + 1] - begins_[static_cast<std::size_t>(row)];
    const double roundings = static_cast<double>(inputs_.roundings(token) + outliers);
    const double lost = roundings * kLeast * std::max(1.0, inputs_.largest_scale(token));
    // What is added up are rounded inputs: no more than the inputs and what rounding took off.
    const double magnitude = sums.magnitude[t] + sums.rounding[t];
    const double bound = roundings * kUnit / (1 - roundings * kUnit) * magnitude + sums.rounding[t] + lost;
    if (!rounds_result) return bound;
    const double flushed = roundings * kNormal * std::max(1.0, sums.largest_weight);
    return bound + flushed + kUnit16 * (std::abs(sums.product[t]) + bound) + kLeast16;
  }

  const QuantizedWeight& weight_;
  const CertifiedProduct& product_;
  CertificateInputs inputs_;
  std::int64_t tokens_;
  std::vector<std::int64_t> begins_;  // of each row's outliers
  std::vector<Outputs> outputs_;
};

InputRounding rounding_of(kernels::Arithmetic arithmetic) {
  switch (arithmetic) {
    case kernels::Arithmetic::kInt8:
    case kernels::Arithmetic::kInt8TwoLevel: return InputRounding::kInt8;
    case kernels::Arithmetic::kInt16: return InputRounding::kInt16;
    case kernels::Arithmetic::kBFloat16: return InputRounding::kBFloat16Chains;
    case kernels::Arithmetic::kFloat32: break;
  }
  return InputRounding::kNone;
}

// Of one token and of all: the counts are in order.
std::string kernel_names(const kernels::PackedWeight& packed, kernels::Arithmetic arithmetic,
                         const std::set<std::int64_t>& counts, std::string_view backend) {
  std::string names;
  std::string last;
  for (const std::int64_t tokens : counts) {
    const kernels::Choice choice = kernels::explain(packed, arithmetic, tokens, backend);
    if (choice.kernel == last) continue;
    names += names.empty() ? fmt::format("{}: {}", choice.backend, choice.kernel) : ", " + choice.kernel;
    last = choice.kernel;
  }
  return names;
}

}  // namespace

Certificate certify_product(const QuantizedWeight& weight, const CertifiedProduct& product) {
  return Comparison(weight, product).run();
}

Certificate certify_product(const QuantizedWeight& weight, const kernels::PackedWeight& packed,
                            kernels::Arithmetic arithmetic, std::string_view backend) {
  if (packed.rows() != weight.rows() || packed.columns() != weight.columns()) {
    fail(ErrorCode::kInternal, "certificate: a packed weight of [{}, {}] does not go with one of [{}, {}]",
         packed.rows(), packed.columns(), weight.rows(), weight.columns());
  }
  const std::int64_t rows = weight.rows();
  const std::int64_t columns = weight.columns();
  std::set<std::int64_t> counts;
  CertifiedProduct product{rounding_of(arithmetic), {}, {}};
  product.multiply = [&](std::span<const float> inputs, std::int64_t tokens) {
    counts.insert(tokens);
    std::vector<float> output(static_cast<std::size_t>(tokens * rows));
    std::vector<std::byte> space(kernels::workspace_bytes(packed, arithmetic, tokens, backend));
    kernels::multiply({packed,
                       arithmetic,
                       {inputs.data(), tokens, columns, columns},
                       {output.data(), tokens, rows, rows},
                       {},
                       space,
                       is_small(weight) ? kernels::Executor{} : pool_executor(),
                       backend});
    return output;
  };
  Certificate result = certify_product(weight, product);
  result.kernels = kernel_names(packed, arithmetic, counts, backend);
  return result;
}

}  // namespace lowbit
