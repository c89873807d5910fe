#pragma once

#include <string>

#include "kernels/cuda/abi.h"

namespace lowbit::kernels::cuda {

/// liblowbit_cuda.so, loaded when a GPU is asked for, so that one program runs with and without it. Every failure is an
/// `Error` that names what is missing and the remedy.
///
///   const Library library = Library::open();
///   library.require_device(0);
///   DeviceMemory memory(library, bytes);
class Library {
 public:
  /// A name without a slash is looked for as the dynamic linker does, beside liblowbit.so first.
  [[nodiscard]] static Library open(const std::string& path = "liblowbit_cuda.so");
  /// Of a table that is there already; throws when it is of another interface. `path` is for messages.
  Library(const Table* table, const std::string& path);

  [[nodiscard]] int device_count() const;
  /// The device's facts; it is the thread's current one from here on. Throws when it is not there or too old.
  Device require_device(int index) const;  // NOLINT(modernize-use-nodiscard): often called for the check alone

  [[nodiscard]] const Table& table() const { return *table_; }
  /// Throws what the report says, unless `succeeded`. `action` completes "while ...".
  static void check(bool succeeded, const Report& report, const std::string& action);
  /// Calls a function of the table and checks what it reports.
  template <typename... Parameters, typename... Arguments>
  static void call(const char* action, bool (*function)(Parameters...), Arguments... arguments) {
    Report report{};
    check(function(arguments..., &report), report, action);
  }

 private:
  const Table* table_;
};

/// Memory of the GPU; begins on 256 bytes.
class DeviceMemory {
 public:
  DeviceMemory(const Library& library, std::uint64_t bytes);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  template <typename T = std::byte>
  [[nodiscard]] T* data() const {
    return static_cast<T*>(data_);
  }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  void copy_from_host(const void* from) const;
  void copy_to_host(void* to) const;

 private:
  const Table& table_;
  std::uint64_t bytes_;
  void* data_ = nullptr;
};

}  // namespace lowbit::kernels::cuda
