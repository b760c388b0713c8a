// A harness of one page: tests register themselves, checks count.

#ifndef EPOCHWAL_TESTS_CHECK_HPP
#define EPOCHWAL_TESTS_CHECK_HPP

#include <stdlib.h>

#include <atomic>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

namespace check {

struct test {
  const char* name;
  void (*body)();
};

inline std::vector<test>& tests() {
  static std::vector<test> all;
  return all;
}

inline std::atomic<int>& failures() {
  static std::atomic<int> count{0};
  return count;
}

inline bool that(bool holds, const char* what, const char* file, int line) {
  if (!holds) {
    ++failures();
    std::printf("%s:%d: does not hold: %s\n", file, line, what);
  }
  return holds;
}

struct registration {
  registration(const char* name, void (*body)()) { tests().push_back({name, body}); }
};

/// A database path in a directory of its own, below the scratch directory
/// that the script removes.
inline std::string fresh_database() {
  const char* scratch = getenv("SCRATCH");
  std::string directory = std::string(scratch != nullptr ? scratch : "/tmp") + "/cpp-XXXXXX";
  if (mkdtemp(directory.data()) == nullptr) {
    std::perror(directory.c_str());
    std::exit(2);
  }
  return directory + "/app.db";
}

/// What a test throws is its own failure, and no other's.
inline void run_guarded(const test& t) {
#ifdef __cpp_exceptions
  try {
    t.body();
  } catch (const std::exception& e) {
    that(false, e.what(), t.name, 0);
  }
#else
  t.body();
#endif
}

inline int run() {
  int passed = 0;
  int failed = 0;
  for (const test& t : tests()) {
    const int before = failures();
    run_guarded(t);
    const bool good = failures() == before;
    ++(good ? passed : failed);
    if (!good) std::printf("FAILED %s\n", t.name);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace check

// Ranges take long to compile: they are looked at in C++20 alone. Before its
// version 16, clang takes no view of the GNU library's.
#if __cplusplus == 202002L
#define CHECK_RANGES 1
#if !defined(__clang__) || __clang_major__ >= 16
#define CHECK_VIEWS 1
#endif
#endif

#define TEST(name)                                                  \
  static void name();                                               \
  static const check::registration registration_of_##name(#name, name); \
  static void name()

#define CHECK(condition) check::that(static_cast<bool>(condition), #condition, __FILE__, __LINE__)

// For what the rest of the test can't do without.
#define REQUIRE(condition)          \
  do {                              \
    if (!CHECK(condition)) return;  \
  } while (false)

// The statement throws epochwal::error with this status.
#define CHECK_THROWS(expected, statement)                                          \
  do {                                                                             \
    ewal_status got_ = EWAL_OK;                                                    \
    try {                                                                          \
      statement;                                                                   \
    } catch (const epochwal::error& e_) {                                          \
      got_ = e_.status();                                                          \
      CHECK(e_.what()[0] != '\0');                                                 \
    }                                                                              \
    if (!CHECK(got_ == (expected)))                                                \
      std::printf("  the status was %s\n", epochwal::status_name(got_));           \
  } while (false)

#endif
