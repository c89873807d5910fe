#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/json.h"
#include "lowbit/formats/grid.h"
#include "lowbit/model/activation_scheme.h"
#include "text/regex.h"

namespace lowbit {

/// How compressed-tensors describes the weights and inputs of some layers.
struct PackedScheme {
  int bits = 4;
  bool symmetric = true;
  std::int64_t group = 128;                    ///< as in GridSpec
  std::optional<ActivationScheme> input = {};  ///< how the inputs are rounded; nothing: they are not
  friend bool operator==(const PackedScheme&, const PackedScheme&) = default;
};

/// The scheme of a grid that compressed-tensors can express, for a weight of `columns` input columns.
[[nodiscard]] PackedScheme packed_scheme(const GridSpec& grid, std::int64_t columns);

/// config.json's `quantization_config` of format pack-quantized. Each linear belongs to the group of its scheme;
/// `plain` are the linears left as they are.
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

 private:
  struct Group {
    std::vector<std::string> names;  ///< module names, or the class "Linear"
    std::vector<Regex> patterns;     ///< of "re:..." targets, matched from the name's start
    PackedScheme scheme;
  };
  std::string origin_;
  std::vector<Group> groups_;
};

}  // namespace lowbit
