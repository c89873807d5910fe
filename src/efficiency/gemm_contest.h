#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lowbit/base/progress.h"
#include "lowbit/efficiency/gemm.h"

namespace lowbit {

/// Products of one shape that `bench gemm` times in turn, so that what disturbs the machine meets all alike.
class GemmContest {
 public:
  virtual ~GemmContest() = default;
  GemmContest(const GemmContest&) = delete;
  GemmContest& operator=(const GemmContest&) = delete;
  /// Of all shapes that the options ask for.
  [[nodiscard]] std::vector<GemmTiming> run();

 protected:
  /// One implementation with its operands, which it keeps alive.
  struct Contender {
    GemmTiming timing;
    std::int64_t copies = 1;                             ///< of the weight
    std::function<at::Tensor(std::int64_t copy)> run{};  ///< what has to be waited for, if anything
  };
  struct Seconds {
    double wall = 0;
    double processor = 0;
  };
  /// What the machine gives to all threads.
  struct Rates {
    double bandwidth = 0;                    ///< bytes a second; 0: not known
    std::vector<kernels::UnitPeak> units{};  ///< operations a second
  };
  /// Above `most_cold_tokens` the product, not the memory, takes the time. What is passed outlives the contest.
  GemmContest(const GemmBenchOptions& options, Progress& progress, std::int64_t most_cold_tokens)
      : options_(options), progress_(progress), most_cold_tokens_(most_cold_tokens) {}
  void add(Contender contender, std::int64_t tokens, bool cold);
  /// LibTorch's product of the type that both have.
  void add_library(std::string name, std::string arithmetic, const at::Tensor& x, const at::Tensor& weight,
                   std::int64_t tokens, bool cold);
  [[nodiscard]] const GemmBenchOptions& options() const { return options_; }

 private:
  virtual void add_libraries(std::int64_t tokens, bool cold) = 0;
  virtual void add_packed(int bits, std::int64_t group, std::int64_t tokens, bool cold) = 0;
  /// Of one product, in a round that is counted from 0; the first warms up and is left out.
  [[nodiscard]] virtual Seconds time(const Contender& contender, int round) = 0;
  /// Before each round.
  [[nodiscard]] virtual Rates probe(bool cold) = 0;
  void measure(bool cold, std::vector<GemmTiming>& timings);
  [[nodiscard]] static Rates medians(const std::vector<Rates>& rates);

  const GemmBenchOptions& options_;
  Progress& progress_;
  std::int64_t most_cold_tokens_;
  std::vector<Contender> contenders_;
};

}  // namespace lowbit
