#include "lowbit/efficiency/roofline.h"

namespace lowbit {
namespace {

constexpr double kGiga = 1e9;
constexpr double kTera = 1e12;
constexpr double kGibibyte = 1024.0 * 1024.0 * 1024.0;

PublishedHardware gpu(const char* name, double gibibytes, double gigabytes_per_second, double float32, double float16,
                      double int8) {
  return {name, gibibytes * kGibibyte, gigabytes_per_second * kGiga, float32 * kTera, float16 * kTera, int8 * kTera};
}

// All cores at the base clock; operations a cycle and core by the width of their units.
PublishedHardware processor(const char* name, double gigabytes_per_second, double cores, double gigahertz,
                            double float32, double float16, double int8) {
  const double cycles = cores * gigahertz * kGiga;
  return {name, 0, gigabytes_per_second * kGiga, cycles * float32, cycles * float16, cycles * int8};
}

}  // namespace

double PublishedHardware::operations_per_second(std::string_view arithmetic) const {
  if (arithmetic == "float32") return float32;
  return arithmetic == "int8" && int8 > 0 ? int8 : float16;
}

// From NVIDIA's, AMD's and Intel's data sheets. Tensor and matrix units without sparsity, float16 with float32 sums.
const std::vector<PublishedHardware>& published_hardware() {
  static const std::vector<PublishedHardware> hardware = {
      gpu("V100 SXM2 32GB", 32, 900, 15.7, 125, 62.8),
      gpu("T4", 16, 320, 8.1, 65, 130),
      gpu("A10", 24, 600, 31.2, 125, 250),
      gpu("A100 SXM 80GB", 80, 2039, 19.5, 312, 624),
      gpu("L4", 24, 300, 30.3, 121, 242),
      gpu("L40S", 48, 864, 91.6, 362, 733),
      gpu("RTX 3090", 24, 936, 35.6, 71, 284),
      gpu("RTX 4090", 24, 1008, 82.6, 165, 661),
      gpu("H100 PCIe", 80, 2000, 51, 756, 1513),
      gpu("H100 SXM", 80, 3350, 67, 989, 1979),
      gpu("H200 SXM", 141, 4800, 67, 989, 1979),
      gpu("B200 SXM", 180, 7700, 75, 2250, 4500),
      gpu("MI250X", 128, 3277, 47.9, 383, 383),
      gpu("MI300X", 192, 5300, 163.4, 1307, 2615),
      // AVX2: two units of 8 float32; two of 32 bytes, of which 16-bit sums take half the operations.
      processor("Ryzen 9 5950X, 16 cores, AVX2", 51.2, 16, 3.4, 32, 32, 64),
      // AVX-512 in halves: two units of 256 bits, VNNI and bfloat16.
      processor("EPYC 9654, 96 cores, AVX-512", 460.8, 96, 2.4, 32, 64, 128),
      processor("Xeon 8480+, 56 cores, AMX", 307.2, 56, 2.0, 64, 1024, 2048),
      processor("Graviton3, 64 cores, SVE", 307.2, 64, 2.6, 32, 128, 256),
  };
  return hardware;
}

}  // namespace lowbit
