/// @file
/// epochwal for C++17 and later: header-only, over the C ABI of epochwal.h.
///
///     epochwal::coordinator wal("app.db");
///     epochwal::frame frames[] = {{1, page1}, {2, page2, 2}};
///     epochwal::ticket t = wal.commit({7, 0, 1, frames}, 1s);
///
///     for (const auto& batch : epochwal::recovery("app.db"))
///       for (const epochwal::frame& f : batch.frames) apply(f.page_number, f.image());
///
///     epochwal::spool spool("app.db");
///     spool.append({1, 1, "insert a"});
///     for (const epochwal::record& r : spool.read_since(0)) ship(r.lsn, r.text());
///
///     for (const epochwal::record& r : epochwal::spool_reader("app.db"))  // from any process
///       ship(r.lsn, r.text());
///
///     epochwal::primary primary("db");  // a spool, and how far each replica is
///     primary.wait_acks(lsn, "any 1 (replica-1, replica-2)", 1s);
///
/// Blocking, threads, errors and units are those of the C functions, documented
/// in epochwal.h; what is said here is what C++ adds. Errors are thrown as
/// `epochwal::error`; the `try_` functions return `result<T>` instead, and are
/// the only ones where exceptions are off.

#ifndef EPOCHWAL_EPOCHWAL_HPP
#define EPOCHWAL_EPOCHWAL_HPP

#include <epochwal/coordinator.hpp>
#include <epochwal/cursor.hpp>
#include <epochwal/primary.hpp>
#include <epochwal/recovery.hpp>
#include <epochwal/segment.hpp>
#include <epochwal/spool.hpp>
#include <epochwal/spool_reader.hpp>

/// @namespace epochwal
/// The C++ face; begin with `coordinator`, `recovery`, `spool` and `primary`.

EPOCHWAL_NAMESPACE_BEGIN

/// The version of the library at run time.
[[nodiscard]] inline const char* version() noexcept { return ewal_version(); }

/// The name of a status, such as "EWAL_E_CORRUPT".
[[nodiscard]] inline const char* status_name(ewal_status status) noexcept {
  return ewal_status_name(status);
}

EPOCHWAL_NAMESPACE_END

#endif
