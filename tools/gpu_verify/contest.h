#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cublas.h"
#include "cublaslt.h"
#include "products.h"
#include "results.h"
#include "stages.h"

namespace lowbit::gpu_verify {

struct Shape {
  std::int64_t columns;
  std::int64_t rows;
};

/// Packed random matrices of one shape, made once for all the cases that need them.
class Matrices {
 public:
  const cuda::Packed& get(const Shape& shape, int bits, std::int64_t group, bool table = false);

 private:
  std::map<std::string, cuda::Packed> packed_;
};

/// Ways of making one product, timed in turn: each is a graph that goes once through so many copies of its weight that
/// they leave the GPU's cache between two uses.
class Contest {
 public:
  /// Entrants whose names do not contain `settings.entrant` are left out.
  Contest(const Gpu& gpu, const Shape& shape, int tokens, Matrices& matrices, double rotation_bytes,
          const Settings& settings);

  /// `table`: codes stand for numbers of a table.
  void add_half(int bits, std::int64_t group, cuda::HalfKernel kernel, bool table = false);
  void add_integer(int bits, std::int64_t group, int planes, bool with_rounding,
                   IntegerKernel kernel = IntegerKernel::kPlain,
                   cuda::NumberKind output_kind = cuda::NumberKind::kFloat32);
  /// E4M3 on both sides, by Hopper's kernel of such numbers, from bfloat16 to bfloat16.
  void add_float8(bool with_rounding);
  void add_rival(const Cublas& cublas, RivalKind kind);
  /// The fastest of what cuBLASLt offers. Says into `results` when it offers nothing, which is no failure of ours.
  void add_rival(const CublasLt& cublaslt, LtKind kind, const std::string& name, Results& results);
  /// The weight decoded to float16, then multiplied by cuBLAS.
  void add_expanded(const Cublas& cublas, int bits, std::int64_t group);

  /// One line an entrant: median, least and most microseconds a product, and GB/s of its weight.
  void run(int repetitions, const std::string& name, Results& results);

 private:
  struct Entrant {
    std::string name;
    double weight_bytes;
    int launches;
    std::shared_ptr<void> memory;
    std::unique_ptr<Graph> graph;
    std::vector<double> microseconds;
  };
  [[nodiscard]] bool admits(const std::string& name) const;
  [[nodiscard]] int copies_for(double bytes) const;
  void add_fastest(const std::shared_ptr<CublasLt::Plan>& plan, LtKind kind, const std::string& entrant);
  template <typename Multiply>
  void add(const std::string& name, double weight_bytes, int launches, std::shared_ptr<void> memory,
           const Multiply& multiply);

  const Gpu& gpu_;
  Shape shape_;
  int tokens_;
  Matrices& matrices_;
  double rotation_bytes_;
  const Settings& settings_;
  std::vector<float> input_;
  std::vector<Entrant> entrants_;
};

}  // namespace lowbit::gpu_verify
