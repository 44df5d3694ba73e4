/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/status.h"

#include "lib/base.h"

static const char *const texts[] = {
#define STATUS(id, text) text,
#include "lib/status.def"
#undef STATUS
};

const char *status_text(enum status st)
{
	return (size_t)st < ARRAY_LEN(texts) ? texts[st] : "unknown status";
}
