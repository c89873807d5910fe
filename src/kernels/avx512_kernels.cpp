#include "kernels/avx512_simd.h"
#include "kernels/bfloat_panels.h"
#include "kernels/two_level_panels.h"
#include "kernels/wide.h"

namespace lowbit::kernels {

const KernelTable& avx512_kernels() {
  using Kernels = Wide<Avx512>;
  constexpr int kTokens = Kernels::kDirectTokens;
  constexpr Kernel kDirectBytes = {"direct, bytes", Form::kBytes, kTokens, Kernels::direct<1, Ends::kGroup>};
  constexpr Kernel kDirectPlanes = {"direct, two planes of bytes", Form::kTwoPlanes, kTokens,
                                    Kernels::direct<2, Ends::kRun>};
  constexpr Kernel kPanelBytes = {"panels of bytes", Form::kBytes, Kernels::kTile<1>, Kernels::panels<1>};
  static constexpr KernelTable kTable = {
      kDirectBytes,
      kDirectBytes,
      kDirectPlanes,
      kDirectPlanes,
      kPanelBytes,
      kPanelBytes,
      {"panels of two planes of bytes", Form::kTwoPlanes, Kernels::kTile<2>, Kernels::panels<2>},
      {"panels of float32", Form::kFloats, Kernels::kTile<1>, Kernels::float_panels},
      {"direct, bytes", Form::kBytes, kTokens, Kernels::direct<1, Ends::kRow>},
      {"panels of scaled bytes", Form::kBytes, TwoLevelPanels<Avx512>::kTile, TwoLevelPanels<Avx512>::panels},
      {"panels of float32", Form::kFloats, BFloatPanels<Avx512>::kTile, BFloatPanels<Avx512>::panels},
  };
  return kTable;
}

}  // namespace lowbit::kernels
