#pragma once

#include <functional>
#include <vector>

#include "kernels/cuda/library.h"
#include "kernels/cuda/pack.h"

namespace lowbit::gpu_verify {

namespace cuda = kernels::cuda;

/// A stream of the GPU on which the stages work, and how they time.
class Gpu {
 public:
  Gpu(const cuda::Library& library, int index);
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  [[nodiscard]] const cuda::Library& library() const { return library_; }
  [[nodiscard]] const cuda::Table& table() const { return library_.table(); }
  [[nodiscard]] const cuda::Device& facts() const { return facts_; }
  [[nodiscard]] const cuda::HopperClusters& clusters() const { return clusters_; }
  [[nodiscard]] int index() const { return index_; }
  [[nodiscard]] void* stream() const { return stream_; }
  [[nodiscard]] cuda::Launch launch(bool dependent = false) const { return {stream_, dependent ? 1 : 0}; }
  void wait() const;

 private:
  const cuda::Library& library_;
  int index_;
  cuda::Device facts_;
  cuda::HopperClusters clusters_{};
  void* stream_ = nullptr;
};

/// A recorded sequence of launches.
class Graph {
 public:
  Graph(const Gpu& gpu, const std::function<void()>& launches);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  void launch() const;
  /// Of one replay, by events of the GPU.
  [[nodiscard]] double milliseconds() const;

 private:
  const Gpu& gpu_;
  void* graph_ = nullptr;
  void* events_[2] = {};
};

template <typename T>
class Buffer {
 public:
  Buffer(const Gpu& gpu, std::size_t count)
      : memory_(gpu.library(), std::max<std::size_t>(count, 1) * sizeof(T)), count_(count) {}
  Buffer(const Gpu& gpu, const std::vector<T>& values) : Buffer(gpu, values.size()) {
    if (!values.empty()) memory_.copy_from_host(values.data());
  }
  [[nodiscard]] T* data() const { return memory_.data<T>(); }
  [[nodiscard]] std::vector<T> read() const {
    std::vector<T> values(std::max<std::size_t>(count_, 1));
    memory_.copy_to_host(values.data());
    values.resize(count_);
    return values;
  }

 private:
  cuda::DeviceMemory memory_;
  std::size_t count_;
};

}  // namespace lowbit::gpu_verify
