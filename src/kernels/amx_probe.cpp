#include "kernels/amx_unit.h"
#include "kernels/probe_units.h"

namespace lowbit::kernels {

namespace {

constexpr std::int64_t kTileProducts = std::int64_t{16} * 16 * 64;  // of bytes

// Four tiles of sums, of two by two tiles of operands, as the kernels have them.
template <typename Add>
void run_tiles(const std::uint8_t* bytes, std::int64_t rounds, Add&& add) {
  const Amx unit;
  Amx::clear_sums();
  Amx::load<4>(bytes, 0);  // each row the same bytes
  Amx::load<5>(bytes, 0);
  Amx::load<6>(bytes, 0);
  Amx::load<7>(bytes, 0);
  for (std::int64_t i = 0; i < rounds; ++i) add();
}

void run_bytes(const std::uint8_t* bytes, std::int64_t rounds) {
  run_tiles(bytes, rounds, [] {
    Amx::dot<0, 4, 6>();
    Amx::dot<1, 4, 7>();
    Amx::dot<2, 5, 6>();
    Amx::dot<3, 5, 7>();
  });
}

void run_bfloats(const std::uint8_t* bytes, std::int64_t rounds) {
  run_tiles(bytes, rounds, [] {
    Amx::dot_bfloats<0, 4, 6>();
    Amx::dot_bfloats<1, 4, 7>();
    Amx::dot_bfloats<2, 5, 6>();
    Amx::dot_bfloats<3, 5, 7>();
  });
}

}  // namespace

ProbeUnits amx_probe_units() {
  static constexpr ProbeUnit kUnits[] = {
      {"int8 products into int32, AMX", 4 * 2 * kTileProducts, run_bytes},
      {"bfloat16 products into float32, AMX", 4 * kTileProducts, run_bfloats},
  };
  return {kUnits, 2};
}

}  // namespace lowbit::kernels
