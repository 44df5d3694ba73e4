/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The few definitions that every file needs. No state, no I/O. */
#ifndef LIB_BASE_H
#define LIB_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CACHE_LINE   64u
#define likely(x)    __builtin_expect(!!(x), 1)
#define unlikely(x)  __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
/* A loop that every step of a fuzzer runs, and whose branches say nothing: not to be traced. */
#ifdef __clang__
#define UNTRACED __attribute__((no_sanitize("coverage")))
#else
#define UNTRACED
#endif
#define ALIGNED(n)   __attribute__((aligned(n)))
#define PACKED       __attribute__((packed))
#define NOINLINE     __attribute__((noinline))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* align must be a power of two. */
static inline size_t align_up(size_t n, size_t align)
{
	return (n + align - 1) & ~(align - 1);
}

static inline bool is_pow2(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* The smallest power of two that is at least n; n at most 2^63. */
static inline uint64_t pow2_ceil(uint64_t n)
{
	return n <= 1 ? 1 : 1ull << (64 - __builtin_clzll(n - 1));
}

#endif
