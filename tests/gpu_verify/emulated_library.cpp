#include <cstring>
#include <functional>
#include <new>

#include "kernels/cuda/attention_dispatch.h"
#include "kernels/cuda/checked.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/expand_dispatch.h"
#include "kernels/cuda/hopper_dispatch.h"
#include "kernels/cuda/solve_columns_dispatch.h"
#include "kernels/cuda/step_dispatch.h"
#include "kernels/cuda/test_launcher.h"

// A liblowbit_cuda.so whose GPU is the tests' model of one, so that the program which checks real ones can be run
// whole: its memory is this process's, a stream does everything at once, and a graph is a list of what to do.
namespace lowbit::kernels::cuda {
namespace {

using Work = std::vector<std::function<void()>>;

// Null unless something is being recorded.
Work*& recording() {
  static Work* work = nullptr;
  return work;
}

void perform(const std::function<void()>& action) {
  if (recording() != nullptr) {
    recording()->push_back(action);
  } else {
    action();
  }
}

template <typename Thread = testing::EmulatedThread>
class EmulatedLauncher {
 public:
  template <typename Kernel, typename Call>
  bool launch(const GridSize& size, const Call& call) {
    perform([size, call] { return testing::TestLauncher<Thread>{1}.template launch<Kernel>(size, call); });
    return true;
  }
};

struct EmulatedWidths {
  template <int kBits>
  static bool skinny(NumberKind number, const HalfProduct& call, const Launch&, Report*) {
    EmulatedLauncher launcher;
    return number == NumberKind::kFloat16 ? dispatch_skinny<Float16, kBits>(call, launcher)
                                          : dispatch_skinny<BFloat16, kBits>(call, launcher);
  }
  template <int kBits>
  static bool table(NumberKind number, const HalfProduct& call, const Launch&, Report*) {
    EmulatedLauncher launcher;
    return number == NumberKind::kFloat16 ? dispatch_table<Float16, kBits>(call, launcher)
                                          : dispatch_table<BFloat16, kBits>(call, launcher);
  }
  template <int kBits>
  static bool tiled(NumberKind number, const HalfProduct& call, const Launch&, Report*) {
    EmulatedLauncher launcher;
    return number == NumberKind::kFloat16 ? dispatch_tiled<Float16, kBits>(call, launcher)
                                          : dispatch_tiled<BFloat16, kBits>(call, launcher);
  }
  template <int kBits>
  static bool expand(NumberKind number, const ExpandCall& call, const Launch&, Report*) {
    EmulatedLauncher launcher;
    return number == NumberKind::kFloat16 ? dispatch_expand<Float16, kBits>(call, launcher)
                                          : dispatch_expand<BFloat16, kBits>(call, launcher);
  }
  template <int kBits>
  static bool integer(int planes, const IntegerProduct& call, const Launch&, Report*) {
    EmulatedLauncher launcher;
    return planes == 1 ? dispatch_integer<1, kBits>(call, launcher) : dispatch_integer<2, kBits>(call, launcher);
  }
  template <int kBits>
  static bool integer_tiles(const IntegerProduct& call, const Launch&, Report*) {
    EmulatedLauncher launcher;
    return dispatch_integer_tiles<kBits>(call, launcher);
  }
  static bool quantize(int planes, const QuantizeCall& call, const Launch&, Report*) {
    EmulatedLauncher launcher;
    return planes == 1 ? dispatch_quantize<1>(call, launcher) : dispatch_quantize<2>(call, launcher);
  }
  static bool arrange(const ArrangeCall& call, const Launch&, Report*) {
    EmulatedLauncher launcher;
    return dispatch_arrange(call, launcher);
  }
  static bool hopper(NumberKind number, const HalfProduct& call, const Launch&, Report*) {
    EmulatedLauncher<testing::GroupThread> launcher;
    return number == NumberKind::kFloat16 ? dispatch_hopper<Float16, 4>(call, launcher)
                                          : dispatch_hopper<BFloat16, 4>(call, launcher);
  }
  static bool hopper_sliced(NumberKind number, const HalfProduct& call, const Launch&, Report*) {
    EmulatedLauncher<testing::GroupThread> launcher;
    return number == NumberKind::kFloat16 ? dispatch_hopper_sliced<Float16>(call, launcher)
                                          : dispatch_hopper_sliced<BFloat16>(call, launcher);
  }
  static bool hopper_rounded(NumberKind number, const HalfProduct& call, const Launch&, Report*) {
    EmulatedLauncher<testing::GroupThread> launcher;
    return number == NumberKind::kFloat16 ? dispatch_hopper_rounded<Float16, 4>(call, launcher)
                                          : dispatch_hopper_rounded<BFloat16, 4>(call, launcher);
  }
  static bool hopper_rounded_turns(NumberKind number, const HalfProduct& call, const Launch&, Report*) {
    EmulatedLauncher<testing::GroupThread> launcher;
    return number == NumberKind::kFloat16 ? dispatch_hopper_rounded<Float16, 4, kTurnLag>(call, launcher)
                                          : dispatch_hopper_rounded<BFloat16, 4, kTurnLag>(call, launcher);
  }
  static bool hopper_bytes(ByteKernel kernel, const IntegerProduct& call, const Launch&, Report*) {
    EmulatedLauncher<testing::GroupThread> launcher;
    return dispatch_hopper_bytes<8>(kernel, call, launcher);
  }
  static bool round_float8(const RoundFloat8Call& call, const Launch&, Report*) {
    EmulatedLauncher launcher;
    return dispatch_round_float8(call, launcher);
  }
  static bool hopper_float8(const Float8Product& call, const Launch&, Report*) {
    EmulatedLauncher<testing::GroupThread> launcher;
    return dispatch_hopper_float8(call, launcher);
  }
  static bool arrange_operands(const OperandCall& call, const Launch&, Report*) {
    EmulatedLauncher launcher;
    return dispatch_arrange_operands(call, launcher);
  }
};

struct EmulatedAttention {
  struct Attention {
    template <typename Kernel, typename Call>
    bool launch(const AttentionGrid& grid, const Call& call) {
      EmulatedLauncher launcher;
      return launcher.launch<Kernel>({{grid.blocks[0], grid.blocks[1], grid.blocks[2]}, grid.shared_bytes}, call);
    }
  };
  static Attention make(const Launch&, Report*) { return {}; }
};

struct EmulatedLaunchers {
  static EmulatedLauncher<> make(const Launch&, Report*) { return {}; }
};

constexpr std::align_val_t kAlignment{256};

const Table& table() {
  static Table result = [] {
    Table t{};
    t.interface = kInterface;
    t.count_devices = [](std::int32_t* count, Report*) { return (*count = 1) == 1; };
    t.describe_device = [](std::int32_t, Device* device, Report*) {
      *device = {"a model of a GPU", 9, 0, 4, 1 << 20, 1U << 30, 1U << 30};
      return true;
    };
    t.use_device = [](std::int32_t, Report*) { return true; };
    t.allocate = [](std::uint64_t bytes, void** memory, Report*) {
      *memory = ::operator new(bytes, kAlignment);
      std::memset(*memory, 0xFF, bytes);
      return true;
    };
    t.release = [](void* memory, Report*) {
      ::operator delete(memory, kAlignment);
      return true;
    };
    t.copy_to_device = [](void* to, const void* from, std::uint64_t bytes, Report*) {
      std::memcpy(to, from, bytes);
      return true;
    };
    t.copy_to_host = t.copy_to_device;
    t.copy_within = [](void* to, const void* from, std::uint64_t bytes, void*, Report*) {
      perform([=] { std::memcpy(to, from, bytes); });
      return true;
    };
    t.fill = [](void* memory, std::int32_t byte, std::uint64_t bytes, void*, Report*) {
      perform([=] { std::memset(memory, byte, bytes); });
      return true;
    };
    t.wait = [](void*, Report*) { return recording() == nullptr; };
    t.create_stream = [](void** stream, Report*) { return (*stream = &recording()) != nullptr; };
    t.release_stream = [](void*, Report*) { return true; };
    t.begin_capture = [](void*, Report*) { return (recording() = new Work) != nullptr; };
    t.end_capture = [](void*, void** graph, Report*) {
      *graph = recording();
      recording() = nullptr;
      return true;
    };
    t.launch_graph = [](void* graph, void*, Report*) {
      for (const auto& action : *static_cast<Work*>(graph)) action();
      return true;
    };
    t.release_graph = [](void* graph, Report*) {
      delete static_cast<Work*>(graph);
      return true;
    };
    t.create_event = [](void** event, Report*) { return (*event = &recording()) != nullptr; };
    t.record_event = [](void*, void*, Report*) { return true; };
    t.milliseconds_between = [](void*, void*, float* milliseconds, Report*) { return (*milliseconds = 1.0F) > 0.0F; };
    t.release_event = [](void*, Report*) { return true; };
    t.half_product = Checked<EmulatedWidths>::half_product;
    t.quantize = Checked<EmulatedWidths>::quantize;
    t.integer_product = Checked<EmulatedWidths>::integer_product;
    t.expand = Checked<EmulatedWidths>::expand;
    t.arrange = Checked<EmulatedWidths>::arrange;
    t.round_tokens = CheckedAttention<EmulatedAttention>::round_tokens;
    t.attend = CheckedAttention<EmulatedAttention>::attend;
    t.arrange_operands = Checked<EmulatedWidths>::arrange_operands;
    t.expand_codes = CheckedExpansion<EmulatedLaunchers>::expand_codes;
    t.finish_bytes = CheckedExpansion<EmulatedLaunchers>::finish_bytes;
    t.expand_table = CheckedExpansion<EmulatedLaunchers>::expand_table;
    t.count_clusters = [](HopperClusters* clusters, Report*) {
      *clusters = {{4, 2, 1, 1}};
      return true;
    };
    t.norm_rows = CheckedStep<EmulatedLaunchers>::norm_rows;
    t.gate_rows = CheckedStep<EmulatedLaunchers>::gate_rows;
    t.attend_cached = CheckedStep<EmulatedLaunchers>::attend_cached;
    t.multiply_together = CheckedStep<EmulatedLaunchers>::multiply_together;
    t.multiply_integers_together = CheckedStep<EmulatedLaunchers>::multiply_integers_together;
    t.multiply_gated = CheckedStep<EmulatedLaunchers>::multiply_gated;
    t.integer_tiles = Checked<EmulatedWidths>::integer_tiles;
    t.hopper_bytes = Checked<EmulatedWidths>::hopper_bytes;
    t.round_float8 = Checked<EmulatedWidths>::round_float8;
    t.hopper_float8 = Checked<EmulatedWidths>::hopper_float8;
    t.solve_columns = checked_solve_columns<EmulatedLaunchers>;
    return t;
  }();
  return result;
}

}  // namespace
}  // namespace lowbit::kernels::cuda

extern "C" __attribute__((visibility("default"))) const lowbit::kernels::cuda::Table* lowbit_cuda_table() {
  return &lowbit::kernels::cuda::table();
}
