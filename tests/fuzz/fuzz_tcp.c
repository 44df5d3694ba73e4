/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_target.h with bytes from libFuzzer.
 *
 * What the stack compares is mostly relative to numbers of the connection, so knowing the operands
 * leads nowhere, but telling them costs more than all else: comparisons are not traced (meson.build
 * has the linker put these in). */
#include "tests/fuzz/tcp_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNTOLD(bytes, type)                                                         \
	void __wrap___sanitizer_cov_trace_cmp##bytes(type a, type b);               \
	void __wrap___sanitizer_cov_trace_const_cmp##bytes(type a, type b);         \
	UNTRACED void __wrap___sanitizer_cov_trace_cmp##bytes(type a, type b)       \
	{                                                                           \
		(void)a;                                                            \
		(void)b;                                                            \
	}                                                                           \
	UNTRACED void __wrap___sanitizer_cov_trace_const_cmp##bytes(type a, type b) \
	{                                                                           \
		(void)a;                                                            \
		(void)b;                                                            \
	}

UNTOLD(1, uint8_t)
UNTOLD(2, uint16_t)
UNTOLD(4, uint32_t)
UNTOLD(8, uint64_t)

/* The stack takes nothing from the heap: freed memory to be watched is copies of inputs alone, and
 * many of those only cost cache. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=2:malloc_context_size=2";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	target_run(data, size);
	return 0;
}
