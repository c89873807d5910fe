#pragma once

#include <ucontext.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace lowbit::kernels::cuda::testing {

/// Runs functions by turns on one thread of the processor, each on a stack of its own. Who goes on next is drawn by
/// seed. A fiber waits until somebody wakes it; when all wait, that is an error, as is an exception in one of them.
class Fibers {
 public:
  explicit Fibers(std::uint64_t seed) : engine_(seed) {}

  void run(int count, const std::function<void(int)>& body) {
    body_ = &body;
    fibers_.clear();
    ready_.clear();
    failure_ = nullptr;
    finished_ = 0;
    for (int i = 0; i < count; ++i) fibers_.push_back(std::make_unique<Fiber>());
    for (int i = 0; i < count; ++i) start(i);
    while (finished_ < count && failure_ == nullptr) {
      if (ready_.empty()) throw std::runtime_error("every thread waits: a barrier that not all of them reach");
      std::swap(ready_[std::uniform_int_distribution<std::size_t>(0, ready_.size() - 1)(engine_)], ready_.back());
      current_ = ready_.back();
      ready_.pop_back();
      Fiber& next = *fibers_[static_cast<std::size_t>(current_)];
      leave(&scheduler_fake_stack_, next.stack.get(), kStackBytes);
      ::swapcontext(&scheduler_, &next.context);
      arrive(scheduler_fake_stack_, nullptr, nullptr);
    }
    // Fibers that never finished hold nothing that needs a destructor: kernels are plain.
    if (failure_ != nullptr) std::rethrow_exception(failure_);
  }

  /// Called by the running fiber: others go on until `wake` names it.
  void wait() {
    Fiber& self = *fibers_[static_cast<std::size_t>(current_)];
    leave(&self.fake_stack, scheduler_stack_, scheduler_stack_bytes_);
    ::swapcontext(&self.context, &scheduler_);
    arrive(self.fake_stack, &scheduler_stack_, &scheduler_stack_bytes_);
  }
  void wake(int fiber) { ready_.push_back(fiber); }

 private:
  static constexpr std::size_t kStackBytes = std::size_t{96} << 10;
  struct Fiber {
    ucontext_t context{};
    std::unique_ptr<std::byte[]> stack{new std::byte[kStackBytes]};
    void* fake_stack = nullptr;
  };

  // AddressSanitizer must be told which stack the processor is about to be on, and when it is there.
  static void leave([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* stack,
                    [[maybe_unused]] std::size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(fake_stack, stack, bytes);
#endif
  }
  static void arrive([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** from,
                     [[maybe_unused]] std::size_t* bytes) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake_stack, from, bytes);
#endif
  }

  void start(int index) {
    Fiber& fiber = *fibers_[static_cast<std::size_t>(index)];
    ::getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = &scheduler_;
    // makecontext hands on ints alone.
    const auto self = reinterpret_cast<std::uintptr_t>(this);
    ::makecontext(&fiber.context, reinterpret_cast<void (*)()>(&Fibers::enter), 3, static_cast<unsigned>(self),
                  static_cast<unsigned>(self >> 32), index);
    ready_.push_back(index);
  }

  static void enter(unsigned low, unsigned high, int index) {
    auto* self = reinterpret_cast<Fibers*>((std::uintptr_t{high} << 32) | low);
    arrive(nullptr, &self->scheduler_stack_, &self->scheduler_stack_bytes_);
    try {
      (*self->body_)(index);
    } catch (...) {
      self->failure_ = std::current_exception();
    }
    ++self->finished_;
    leave(nullptr, self->scheduler_stack_, self->scheduler_stack_bytes_);
  }

  std::mt19937_64 engine_;
  const std::function<void(int)>* body_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<int> ready_;
  std::exception_ptr failure_;
  ucontext_t scheduler_{};
  void* scheduler_fake_stack_ = nullptr;
  const void* scheduler_stack_ = nullptr;
  std::size_t scheduler_stack_bytes_ = 0;
  int finished_ = 0;
  int current_ = 0;
};

}  // namespace lowbit::kernels::cuda::testing
