#pragma once

#include <cstddef>
#include <span>

#include "lowbit/base/export.h"
#include "lowbit/kernels/api.h"

namespace lowbit {
namespace kernels LOWBIT_EXPORT {

inline constexpr std::size_t kMostTogether = 4;
/// At most `kMostTogether` products of one input with several weights (queries, keys and values; gate and up), as
/// `multiply` would give each of them, bit for bit: the activations are rounded and arranged once where weights agree
/// in columns, groups and width of codes, and all rows are shared out among the threads at once. Every product has its
/// own output, epilogue and workspace; the executor, the backend and what makes the input are the first one's. Throws
/// what `multiply` throws, and `kInternal` when the inputs differ.
void multiply_together(std::span<const Product> products);

}  // namespace LOWBIT_EXPORT
}  // namespace lowbit
