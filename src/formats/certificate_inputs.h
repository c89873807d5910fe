#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lowbit/formats/certificate.h"
#include "lowbit/formats/quantized_weight.h"

namespace lowbit {

/// Seeded inputs of a certificate, with what an arithmetic's definition makes of them.
class CertificateInputs {
 public:
  static constexpr std::int64_t kLanes = 8;
  CertificateInputs(const QuantizedWeight& weight, InputRounding rounding);
  [[nodiscard]] std::int64_t tokens() const { return tokens_; }
  /// `tokens` up to a multiple of kLanes.
  [[nodiscard]] std::int64_t padded_tokens() const { return (tokens_ + kLanes - 1) / kLanes * kLanes; }
  [[nodiscard]] const std::vector<float>& values() const { return values_; }  ///< [tokens][columns]
  [[nodiscard]] const std::string& name(std::int64_t token) const { return names_[static_cast<std::size_t>(token)]; }
  /// What the reference multiplies with, [columns][padded tokens]: the inputs, or for kInt8 and kFloat8 what these
  /// round them to.
  [[nodiscard]] const double* reference() const { return reference_.data(); }
  /// What kInt16 takes off them by rounding; zeros for the others.
  [[nodiscard]] const double* lost() const { return lost_.data(); }
  /// Whether the input is such as activations are.
  [[nodiscard]] bool is_ordinary(std::int64_t token) const { return token < ordinary_; }
  /// Roundings that a summand of the product without outliers goes through at most: additions of zero round nothing.
  [[nodiscard]] std::int64_t roundings(std::int64_t token) const { return roundings_[static_cast<std::size_t>(token)]; }
  [[nodiscard]] double largest_scale(std::int64_t token) const { return scales_[static_cast<std::size_t>(token)]; }

 private:
  void add(std::string name, const std::vector<float>& row);
  void draw();
  void round_part(std::int64_t token, const std::vector<std::int32_t>& part, InputRounding rounding);
  std::int64_t columns_;
  std::int64_t tokens_ = 0;
  std::int64_t ordinary_ = 0;
  std::vector<float> values_;
  std::vector<std::string> names_;
  std::vector<double> reference_, lost_;
  std::vector<std::int64_t> roundings_;
  std::vector<double> scales_;
};

}  // namespace lowbit
