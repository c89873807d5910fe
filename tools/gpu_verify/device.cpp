#include "device.h"

namespace lowbit::gpu_verify {

Gpu::Gpu(const cuda::Library& library, int index)
    : library_(library), index_(index), facts_(library.require_device(index)) {
  cuda::Library::call("making a stream", table().create_stream, &stream_);
  cuda::Library::call("counting clusters of blocks", table().count_clusters, &clusters_);
}

Gpu::~Gpu() {
  cuda::Report report{};
  (void)table().release_stream(stream_, &report);
}

void Gpu::wait() const { cuda::Library::call("waiting for the GPU", table().wait, stream_); }

Graph::Graph(const Gpu& gpu, const std::function<void()>& launches) : gpu_(gpu) {
  const cuda::Table& table = gpu.table();
  for (void*& event : events_) cuda::Library::call("making an event", table.create_event, &event);
  cuda::Library::call("recording a graph", table.begin_capture, gpu.stream());
  launches();
  cuda::Library::call("recording a graph", table.end_capture, gpu.stream(), &graph_);
}

Graph::~Graph() {
  cuda::Report report{};
  (void)gpu_.table().release_graph(graph_, &report);
  for (void* event : events_) (void)gpu_.table().release_event(event, &report);
}

void Graph::launch() const {
  cuda::Library::call("replaying a graph", gpu_.table().launch_graph, graph_, gpu_.stream());
}

double Graph::milliseconds() const {
  const cuda::Table& table = gpu_.table();
  cuda::Library::call("recording an event", table.record_event, events_[0], gpu_.stream());
  launch();
  cuda::Library::call("recording an event", table.record_event, events_[1], gpu_.stream());
  float result = 0.0F;
  cuda::Library::call("timing", table.milliseconds_between, events_[0], events_[1], &result);
  return static_cast<double>(result);
}

}  // namespace lowbit::gpu_verify
