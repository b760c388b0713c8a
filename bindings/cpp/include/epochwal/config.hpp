/// @file
/// What the compiler offers, and the namespace that follows from it.

#ifndef EPOCHWAL_CONFIG_HPP
#define EPOCHWAL_CONFIG_HPP

#include <epochwal.h>

#if !defined(__cplusplus) || __cplusplus < 201703L
#error "epochwal.hpp needs C++17"
#endif

#if __has_include(<version>)
#include <version>
#endif

// With exceptions, the plain members throw `error`. Without them (or with
// EPOCHWAL_NO_EXCEPTIONS defined), only the `try_` members exist.
#if !defined(EPOCHWAL_NO_EXCEPTIONS) && !defined(__cpp_exceptions)
#define EPOCHWAL_NO_EXCEPTIONS 1
#endif

#if defined(__cpp_lib_span) && __cpp_lib_span >= 202002L
#define EPOCHWAL_STD_SPAN 1
#define EPOCHWAL_TAG_SPAN s
#else
#define EPOCHWAL_TAG_SPAN
#endif

#if defined(__cpp_lib_expected) && __cpp_lib_expected >= 202202L
#define EPOCHWAL_STD_EXPECTED 1
#define EPOCHWAL_TAG_EXPECTED x
#else
#define EPOCHWAL_TAG_EXPECTED
#endif

#if defined(__cpp_impl_coroutine) && __cpp_impl_coroutine >= 201902L && \
    __has_include(<coroutine>)
#define EPOCHWAL_COROUTINES 1
#endif

#ifdef EPOCHWAL_NO_EXCEPTIONS
#define EPOCHWAL_TAG_EXCEPTIONS n
#else
#define EPOCHWAL_TAG_EXCEPTIONS
#endif

// Translation units that are compiled with different language versions may be
// linked together: what differs between them lives in differently named inline
// namespaces, so that no inline function has two definitions.
#define EPOCHWAL_PASTE_(a, b, c) v0##a##b##c
#define EPOCHWAL_PASTE(a, b, c) EPOCHWAL_PASTE_(a, b, c)
#define EPOCHWAL_INLINE_NAMESPACE \
  EPOCHWAL_PASTE(EPOCHWAL_TAG_SPAN, EPOCHWAL_TAG_EXPECTED, EPOCHWAL_TAG_EXCEPTIONS)

#define EPOCHWAL_NAMESPACE_BEGIN \
  namespace epochwal {           \
  inline namespace EPOCHWAL_INLINE_NAMESPACE {
#define EPOCHWAL_NAMESPACE_END \
  }                            \
  }

#endif
