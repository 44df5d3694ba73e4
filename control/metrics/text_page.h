/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Prometheus text format 0.0.4 into a growing buffer. Knows the format and nothing of Sluice.
 * Memory that runs out is remembered (failed), and writes after it do nothing. */
#ifndef CONTROL_METRICS_TEXT_PAGE_H
#define CONTROL_METRICS_TEXT_PAGE_H

#include "lib/base.h"

struct text_page {
	char *text; /* malloc'd; NULL when empty */
	size_t len;
	size_t room;
	bool failed;
};

void page_printf(struct text_page *p, const char *fmt, ...) PRINTF(2, 3);
/* # HELP and # TYPE of a family; once, before all of its samples. help is escaped. */
void page_family(struct text_page *p, const char *name, const char *type, const char *help);
/* labels: pairs as they stand between the braces, or "". */
void page_sample(struct text_page *p, const char *name, const char *labels, uint64_t value);
/* Writes text as a label's value between quotation marks, escaped, with its NUL; cut to fit. */
void page_quote(char *out, size_t room, const char *text);

#endif
