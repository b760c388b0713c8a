/// @file
/// Segments of format version 1 by themselves: for engines that read or write
/// that format without a coordinator.

#ifndef EPOCHWAL_SEGMENT_HPP
#define EPOCHWAL_SEGMENT_HPP

#include <epochwal/callback.hpp>
#include <epochwal/result.hpp>
#include <epochwal/view.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

EPOCHWAL_NAMESPACE_BEGIN

/// A page write of a transaction, with the images before and after it; the
/// fields are those of the C struct. Borrows the images.
struct segment_record : ewal_segment_record {
  segment_record() noexcept : ewal_segment_record{} {}
  /// A view of what the library lends.
  explicit segment_record(const ewal_segment_record& other) noexcept
      : ewal_segment_record(other) {}

  /// The page before.
  [[nodiscard]] bytes before() const noexcept { return detail::view_of(before_image); }
  /// The page after.
  [[nodiscard]] bytes after() const noexcept { return detail::view_of(after_image); }

  /// Sets the image before to the bytes of a vector, string, array or view.
  template <class C>
  segment_record& before(C&& image) {
    before_image = detail::slice_of(std::forward<C>(image));
    return *this;
  }
  /// Sets the image after, likewise.
  template <class C>
  segment_record& after(C&& image) {
    after_image = detail::slice_of(std::forward<C>(image));
    return *this;
  }
};

// The library walks an array of records in steps of an ewal_segment_record.
static_assert(sizeof(segment_record) == sizeof(ewal_segment_record) &&
              std::is_standard_layout_v<segment_record>);

/// The path of the segment of an epoch. Touches no disk.
[[nodiscard]] inline result<std::string> try_segment_path(path_view path, std::uint64_t epoch) {
  return detail::text([&](char* buffer, std::size_t size, std::size_t* length, ewal_error* e) {
    return ewal_segment_path(path.c_str(), epoch, buffer, size, length, e);
  });
}

/// Calls `function(const segment_record&)` for each record of a segment,
/// aborted ones included, after all of it was checked. A function that gives a
/// bool goes on while it is true. What it throws comes out here.
template <class F>
result<void> try_read_segment(path_view path, std::uint64_t epoch, F&& function) {
  return detail::listing<segment_record, ewal_segment_record>(
      function, [&](ewal_segment_record_fn each, void* user, ewal_error* e) {
        return ewal_segment_read(path.c_str(), epoch, each, user, e);
      });
}

/// Writes the segment of an epoch, whole or not at all; synced on return.
inline result<void> try_write_segment(path_view path, std::uint64_t epoch,
                                      span<const segment_record> records) {
  return detail::call([&](ewal_error* e) {
    return ewal_segment_write(path.c_str(), epoch, records.data(), records.size(), e);
  });
}

/// Deletes the segment of an epoch, damaged or not.
inline result<void> try_delete_segment(path_view path, std::uint64_t epoch) {
  return detail::call(
      [&](ewal_error* e) { return ewal_segment_delete(path.c_str(), epoch, e); });
}

#ifndef EPOCHWAL_NO_EXCEPTIONS
/// @name Throwing
/// @{

/// What its `try_` twin does; throws where that gives an error.
[[nodiscard]] inline std::string segment_path(path_view path, std::uint64_t epoch) {
  return detail::unwrap(try_segment_path(path, epoch));
}
template <class F>
void read_segment(path_view path, std::uint64_t epoch, F&& function) {
  detail::unwrap(try_read_segment(path, epoch, std::forward<F>(function)));
}
inline void write_segment(path_view path, std::uint64_t epoch,
                          span<const segment_record> records) {
  detail::unwrap(try_write_segment(path, epoch, records));
}
inline void delete_segment(path_view path, std::uint64_t epoch) {
  detail::unwrap(try_delete_segment(path, epoch));
}
/// @}
#endif

EPOCHWAL_NAMESPACE_END

#endif
