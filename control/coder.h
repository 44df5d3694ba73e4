/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One body on its way through a content coding: zlib, libzstd and libbrotli behind one interface.
 * Used by fetch_code.c. Bytes in, bytes out, no I/O; the caller decides how much is done at a time.
 */
#ifndef CONTROL_CODER_H
#define CONTROL_CODER_H

#include "cache/coding.h"
#include "lib/base.h"

/* Bytes that came out and were not taken yet; the caller moves taken on. */
struct coder_out {
	unsigned char *mem;
	size_t taken;
	size_t len;
	size_t cap;
};

enum coder_op {
	CODER_GO,    /* keeps back what codes better together with more */
	CODER_FLUSH, /* all that came in comes out */
	CODER_END    /* and nothing follows; once */
};

struct coder;
/* level: as in the configuration, sane for the coding. NULL: no memory. */
struct coder *coder_new(enum coding c, int level);
void coder_free(struct coder *c);
/* Appends to out. False: no memory, or the library failed; the body cannot be completed. */
bool coder_run(struct coder *c, struct span in, enum coder_op op, struct coder_out *out);

void coder_out_free(struct coder_out *out);

#endif
