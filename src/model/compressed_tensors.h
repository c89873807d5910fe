#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/json.h"
#include "lowbit/model/activation_scheme.h"
#include "model/code_layout.h"
#include "text/regex.h"

namespace lowbit {

/// How compressed-tensors describes the weights and inputs of some layers.
struct PackedScheme {
  int bits = 4;
  bool symmetric = true;
  std::int64_t group = 128;  ///< as in GridSpec
  CodeLayout layout = CodeLayout::kPacked;
  std::optional<ActivationScheme> input = {};  ///< how the inputs are rounded; nothing: they are not
  friend bool operator==(const PackedScheme&, const PackedScheme&) = default;
};

/// config.json's `quantization_config`, of the format that all schemes share or else mixed-precision. Each linear
/// belongs to the group of its scheme; `plain` are the linears left as they are.
struct SchemeOfLinear {
  std::string linear;
  PackedScheme scheme;
};
[[nodiscard]] Json compressed_tensors_config(const std::vector<SchemeOfLinear>& linears,
                                             const std::vector<std::string>& plain);

/// A `quantization_config` of compressed-tensors, read.
class CompressedTensorsConfig {
 public:
  /// Throws `kUnsupported` naming what lowbit cannot read (another format, quantized outputs), `kData` for
  /// contradictions; both as "<origin>: ...".
  CompressedTensorsConfig(const Json& config, const std::string& origin);

  /// The scheme of a linear that the file stores packed. Throws `kData` when no group names it.
  [[nodiscard]] const PackedScheme& scheme_of(const std::string& linear) const;
  /// "pack-quantized", "mixed-precision" ...
  [[nodiscard]] const std::string& format() const { return format_; }

 private:
  struct Group {
    std::vector<std::string> names;  ///< module names, or the class "Linear"
    std::vector<Regex> patterns;     ///< of "re:..." targets, matched from the name's start
    PackedScheme scheme;
  };
  std::string origin_;
  std::string format_;
  std::vector<Group> groups_;
};

}  // namespace lowbit
