/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/run.h"

#include <stdarg.h>

void run_fail(struct run *run, uint64_t now_ns, const char *form, ...)
{
	va_list args;

	if (run->failed)
		return;
	run->failed = true;
	run->at_s = (double)now_ns / 1e9;
	va_start(args, form);
	vsnprintf(run->why, sizeof(run->why), form, args);
	va_end(args);
	for (char *p = run->why; *p != 0; p++)
		if (*p < ' ' || *p == 127)
			*p = '.'; /* bytes of a body, perhaps */
}
