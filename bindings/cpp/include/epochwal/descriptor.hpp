/// @file
/// A file descriptor with an owner.

#ifndef EPOCHWAL_DESCRIPTOR_HPP
#define EPOCHWAL_DESCRIPTOR_HPP

#include <epochwal/config.hpp>

#include <utility>

#include <unistd.h>

EPOCHWAL_NAMESPACE_BEGIN

/// A file descriptor that is closed at the end of its life.
class file_descriptor {
 public:
  /// Takes it over; -1 is none.
  explicit file_descriptor(int fd = -1) noexcept : fd_(fd) {}
  /// Leaves nothing behind.
  file_descriptor(file_descriptor&& other) noexcept : fd_(other.release()) {}
  /// Closes what it held before.
  file_descriptor& operator=(file_descriptor&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  file_descriptor(const file_descriptor&) = delete;
  file_descriptor& operator=(const file_descriptor&) = delete;
  ~file_descriptor() { reset(); }

  /// The descriptor, still owned by this object.
  [[nodiscard]] int get() const noexcept { return fd_; }
  /// Gives it away: the caller closes it.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  /// Closes it, and takes another over.
  void reset(int fd = -1) noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

EPOCHWAL_NAMESPACE_END

#endif
