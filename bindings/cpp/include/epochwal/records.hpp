/// @file
/// Records that were read from a spool.

#ifndef EPOCHWAL_RECORDS_HPP
#define EPOCHWAL_RECORDS_HPP

#include <epochwal/config.hpp>
#include <epochwal/view.hpp>

#include <cstddef>
#include <utility>

EPOCHWAL_NAMESPACE_BEGIN

/// How much a read may give. At least one record is given where there is one.
struct read_limit {
  /// 1 or more.
  std::size_t records = 1000;
  /// Of payload; one record may exceed it by itself.
  std::size_t bytes = std::size_t{16} << 20;
};

/// Records that were read: `ewal_records`, released at the end of its life. A
/// contiguous range of `record`, in its own memory, payloads included: a
/// `span<const record>` of it can be appended to another spool. It needs neither
/// the spool nor the cursor that it came from.
class records {
 public:
  /// Holds nothing, as after a move: an empty range.
  records() noexcept = default;
  /// Takes the C handle over.
  explicit records(ewal_records handle) noexcept : handle_(handle) {
    const ewal_record* first = nullptr;
    std::size_t count = 0;
    if (ewal_records_get(handle_, &first, &count) == EWAL_OK)
      view_ = detail::records_of(first, count);
  }
  /// Leaves nothing behind.
  records(records&& other) noexcept : view_(other.view_), handle_(other.release()) {}
  /// Releases what it held before.
  records& operator=(records&& other) noexcept {
    if (this != &other) {
      free();
      view_ = other.view_;
      handle_ = other.release();
    }
    return *this;
  }
  records(const records&) = delete;
  records& operator=(const records&) = delete;
  ~records() { free(); }

  /// @name A contiguous range
  /// @{

  /// As a `std::vector` that can't be changed has it.
  using value_type = record;
  using size_type = std::size_t;
  using iterator = const record*;
  using const_iterator = iterator;
  [[nodiscard]] const record* data() const noexcept { return view_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return view_.size(); }
  [[nodiscard]] bool empty() const noexcept { return view_.empty(); }
  [[nodiscard]] iterator begin() const noexcept { return data(); }
  [[nodiscard]] iterator end() const noexcept { return data() + size(); }
  [[nodiscard]] const record& operator[](std::size_t index) const { return view_[index]; }
  /// The first one; only where there is one.
  [[nodiscard]] const record& front() const { return view_.front(); }
  /// The last one; only where there is one.
  [[nodiscard]] const record& back() const { return view_.back(); }
  /// @}

  /// The C handle, still owned by this object.
  [[nodiscard]] ewal_records native_handle() const noexcept { return handle_; }
  /// Gives the C handle away: the caller releases it.
  [[nodiscard]] ewal_records release() noexcept {
    view_ = {};
    return std::exchange(handle_, ewal_records{});
  }

 private:
  void free() noexcept {
    if (handle_.id != 0) ewal_records_release(release());
  }

  records_view view_;
  ewal_records handle_{};
};

EPOCHWAL_NAMESPACE_END

#endif
