#include "device.h"

namespace lowbit::gpu_verify {

Gpu::Gpu(const cuda::Library& library, int index)
    : library_(library), index_(index), facts_(library.require_device(index)) {
  cuda::Report report{};
  check(table().create_stream(&stream_, &report), report, "making a stream");
}

Gpu::~Gpu() {
  cuda::Report report{};
  (void)table().release_stream(stream_, &report);
}

void Gpu::wait() const {
  cuda::Report report{};
  check(table().wait(stream_, &report), report, "waiting for the GPU");
}

void Gpu::check(bool succeeded, const cuda::Report& report, const char* action) {
  cuda::Library::check(succeeded, report, action);
}

Graph::Graph(const Gpu& gpu, const std::function<void()>& launches) : gpu_(gpu) {
  cuda::Report report{};
  const cuda::Table& table = gpu.table();
  for (void*& event : events_) Gpu::check(table.create_event(&event, &report), report, "making an event");
  Gpu::check(table.begin_capture(gpu.stream(), &report), report, "recording a graph");
  launches();
  Gpu::check(table.end_capture(gpu.stream(), &graph_, &report), report, "recording a graph");
}

Graph::~Graph() {
  cuda::Report report{};
  (void)gpu_.table().release_graph(graph_, &report);
  for (void* event : events_) (void)gpu_.table().release_event(event, &report);
}

void Graph::launch() const {
  cuda::Report report{};
  Gpu::check(gpu_.table().launch_graph(graph_, gpu_.stream(), &report), report, "replaying a graph");
}

double Graph::milliseconds() const {
  cuda::Report report{};
  const cuda::Table& table = gpu_.table();
  Gpu::check(table.record_event(events_[0], gpu_.stream(), &report), report, "recording an event");
  launch();
  Gpu::check(table.record_event(events_[1], gpu_.stream(), &report), report, "recording an event");
  float result = 0.0F;
  Gpu::check(table.milliseconds_between(events_[0], events_[1], &result, &report), report, "timing");
  return static_cast<double>(result);
}

}  // namespace lowbit::gpu_verify
