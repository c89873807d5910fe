#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/efficiency/roofline.h"
#include "lowbit/model/model.h"

namespace lowbit {

inline constexpr const char* kHeadPart = "lm_head";
inline constexpr const char* kAttentionPart = "attention";

/// Bytes and operations a second.
struct Peaks {
  double bytes_per_second = 0;
  std::function<double(std::string_view arithmetic)> operations_per_second;
  std::string attention = "float32";  ///< arithmetic of attention
};

/// Of a machine that was measured; it must outlive them.
[[nodiscard]] Peaks peaks_of(const MachinePeaks& machine);

/// The products of a model, those alike together: name and arithmetic as in `RooflinePart`.
struct ModelProduct {
  std::string name;
  std::string arithmetic;
  std::int64_t count = 0;
  double bytes = 0;       ///< of one
  double parameters = 0;  ///< of one
};
/// Reads the model's head and every block.
[[nodiscard]] std::vector<ModelProduct> products_of(const Model& model);
/// What all of them read, bytes.
[[nodiscard]] std::int64_t weight_bytes_of(const std::vector<ModelProduct>& products);
/// The part of a linear's name that tells what it is: "q_proj" of "self_attn.q_proj".
[[nodiscard]] std::string_view kind_of_linear(std::string_view slot);

/// What `tokens` of each of `batch` sequences behind `before` others read and compute; seconds by `peaks`. The head
/// reads one token a sequence.
[[nodiscard]] std::vector<RooflinePart> phase_parts(const std::vector<ModelProduct>& products, const Model& model,
                                                    std::int64_t batch, std::int64_t tokens, double before,
                                                    const Peaks& peaks);
[[nodiscard]] double predicted_seconds(const std::vector<RooflinePart>& parts);

}  // namespace lowbit
