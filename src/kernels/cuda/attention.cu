#include "kernels/cuda/attention_launch.cuh"
#include "kernels/cuda/launch.cuh"

namespace lowbit::kernels::cuda {

namespace {

struct DeviceLaunchers {
  struct Attention {
    Launcher launcher;
    template <typename Kernel, typename Call>
    bool launch(const AttentionGrid& grid, const Call& call) {
      return launcher.launch<Kernel>({{grid.blocks[0], grid.blocks[1], grid.blocks[2]}, grid.shared_bytes}, call);
    }
  };
  static Attention make(const Launch& launch, Report* report) { return {Launcher(launch, report)}; }
};

}  // namespace

bool round_tokens(const KvRoundCall* call, const Launch* launch, Report* report) {
  return CheckedAttention<DeviceLaunchers>::round_tokens(call, launch, report);
}
bool attend(const AttentionCall* call, const Launch* launch, Report* report) {
  return CheckedAttention<DeviceLaunchers>::attend(call, launch, report);
}

}  // namespace lowbit::kernels::cuda
