#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/kernels/api.h"

namespace lowbit {
namespace kernels LOWBIT_EXPORT {

/// Bytes a second that all threads of the executor read together from a buffer of `bytes` random ones: the best of
/// `repetitions` passes over at most 8 MiB, each behind the last.
[[nodiscard]] double read_bandwidth(std::size_t bytes, int repetitions, const Executor& executor);

/// What one arithmetic unit does when nothing else holds it up: operations on registers with random contents.
struct UnitPeak {
  std::string name;                  ///< "float32 fma, AVX2"
  double operations_per_second = 0;  ///< a multiplication and an addition are two; of one thread
};
/// Of this processor; empty where lowbit has no kernels but the reference's.
[[nodiscard]] std::vector<UnitPeak> unit_peaks();

}  // namespace LOWBIT_EXPORT
}  // namespace lowbit
