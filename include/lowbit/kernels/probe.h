#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/kernels/api.h"

namespace lowbit {
namespace kernels LOWBIT_EXPORT {

/// Reads of a buffer of random bytes by all threads of an executor.
class ReadProbe {
 public:
  ReadProbe(std::size_t bytes, const Executor& executor);
  /// Bytes a second of one pass over at most 8 MiB, behind those of the last one.
  [[nodiscard]] double pass();
  /// The best of some passes.
  [[nodiscard]] double best(int passes);

 private:
  Executor executor_;
  std::vector<std::uint64_t> words_;
  std::int64_t first_ = 0;
};

/// What one arithmetic unit does when nothing else holds it up: operations on registers with random contents.
struct UnitPeak {
  std::string name;                  ///< "float32 fma, AVX2"
  double operations_per_second = 0;  ///< a multiplication and an addition are two; of one thread
};
/// Of this processor; empty where lowbit has no kernels but the reference's.
[[nodiscard]] std::vector<UnitPeak> unit_peaks();
/// The same units at work in all threads of the executor at once for two milliseconds each: operations a second of all
/// of them together, as much as the machine gives at that time.
[[nodiscard]] std::vector<UnitPeak> unit_rates(const Executor& executor);

/// What of `peaks` products of an arithmetic ("float32", "int16", "int8", "bfloat16") can reach; 0 where no unit is
/// known.
[[nodiscard]] double peak_of(std::span<const UnitPeak> peaks, std::string_view arithmetic);

}  // namespace LOWBIT_EXPORT
}  // namespace lowbit
