/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_target.h with bytes from libFuzzer. */
#include "tests/fuzz/tcp_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
