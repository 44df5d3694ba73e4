/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/coder.h"

#include <brotli/encode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

/* Windows are bounded, for the memory of many coders; RFC 9659 would allow zstd 8 MiB. */
#define GZIP_WINDOW   (15 + 16) /* 32 KiB, with gzip's header (RFC 1952) */
#define GZIP_MEMORY   8
#define ZSTD_WINDOW   18 /* 256 KiB */
#define BROTLI_WINDOW 18
#define OUT_LEAST     4096u /* room for each call of a library */

struct coder {
	enum coding coding;
	union {
		z_stream gzip;
		ZSTD_CCtx *zstd;
		BrotliEncoderState *br;
	};
};

void coder_out_free(struct coder_out *out)
{
	free(out->mem);
	*out = (struct coder_out){0};
}

/* Room behind what is there; false: no memory. */
static bool out_room(struct coder_out *out)
{
	size_t cap;
	unsigned char *grown;

	if (out->taken == out->len) {
		out->taken = 0;
		out->len = 0;
	}
	if (out->cap - out->len >= OUT_LEAST)
		return true;
	cap = max_u64(out->cap * 2, 4 * OUT_LEAST);
	grown = realloc(out->mem, cap);
	if (grown == NULL)
		return false;
	out->mem = grown;
	out->cap = cap;
	return true;
}

/* --- gzip --- */

static bool gzip_init(struct coder *c, int level)
{
	return deflateInit2(&c->gzip, level, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
	                    Z_DEFAULT_STRATEGY) == Z_OK;
}

static bool gzip_run(struct coder *c, struct span in, enum coder_op op, struct coder_out *out)
{
	static const int flush[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
	z_stream *z = &c->gzip;
	int rc;

	assert(in.len <= UINT32_MAX);
	z->next_in = (Bytef *)(uintptr_t)in.ptr;
	z->avail_in = (uInt)in.len;
	do {
		size_t room;

		if (!out_room(out))
			return false;
		room = min_size(out->cap - out->len, UINT32_MAX);
		z->next_out = out->mem + out->len;
		z->avail_out = (uInt)room;
		rc = deflate(z, flush[op]);
		/* Z_BUF_ERROR: there was nothing to do. */
		if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
			return false;
		out->len += room - z->avail_out;
	} while (z->avail_out == 0 || (op == CODER_END && rc != Z_STREAM_END));
	return z->avail_in == 0;
}

/* --- zstd --- */

static bool zstd_init(struct coder *c, int level)
{
	c->zstd = ZSTD_createCCtx();
	return c->zstd != NULL &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, level)) &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_windowLog, ZSTD_WINDOW));
}

static bool zstd_run(struct coder *c, struct span in, enum coder_op op, struct coder_out *out)
{
	static const ZSTD_EndDirective directive[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
	ZSTD_inBuffer from = {in.ptr, in.len, 0};
	size_t left;

	do {
		ZSTD_outBuffer to;

		if (!out_room(out))
			return false;
		to = (ZSTD_outBuffer){out->mem + out->len, out->cap - out->len, 0};
		left = ZSTD_compressStream2(c->zstd, &to, &from, directive[op]);
		if (ZSTD_isError(left))
			return false;
		out->len += to.pos;
	} while (from.pos < from.size || (op != CODER_GO && left > 0));
	return true;
}

/* --- Brotli --- */

static bool brotli_init(struct coder *c, int level)
{
	c->br = BrotliEncoderCreateInstance(NULL, NULL, NULL);
	return c->br != NULL &&
	       BrotliEncoderSetParameter(c->br, BROTLI_PARAM_QUALITY, (uint32_t)level) &&
	       BrotliEncoderSetParameter(c->br, BROTLI_PARAM_LGWIN, BROTLI_WINDOW);
}

static bool brotli_run(struct coder *c, struct span in, enum coder_op op, struct coder_out *out)
{
	static const BrotliEncoderOperation operation[] = {
	        BROTLI_OPERATION_PROCESS, BROTLI_OPERATION_FLUSH, BROTLI_OPERATION_FINISH};
	const uint8_t *next_in = (const uint8_t *)in.ptr;
	size_t avail_in = in.len;

	do {
		uint8_t *next_out;
		size_t room;
		size_t avail_out;

		if (!out_room(out))
			return false;
		next_out = out->mem + out->len;
		room = out->cap - out->len;
		avail_out = room;
		if (!BrotliEncoderCompressStream(c->br, operation[op], &avail_in, &next_in,
		                                 &avail_out, &next_out, NULL))
			return false;
		out->len += room - avail_out;
	} while (avail_in > 0 || BrotliEncoderHasMoreOutput(c->br) ||
	         (op == CODER_END && !BrotliEncoderIsFinished(c->br)));
	return true;
}

/* --- any --- */

struct coder *coder_new(enum coding coding, int level)
{
	struct coder *c = calloc(1, sizeof(*c));
	bool good = false;

	if (c == NULL)
		return NULL;
	c->coding = coding;
	if (coding == CODING_GZIP)
		good = gzip_init(c, level);
	else if (coding == CODING_ZSTD)
		good = zstd_init(c, level);
	else if (coding == CODING_BR)
		good = brotli_init(c, level);
	if (good)
		return c;
	coder_free(c);
	return NULL;
}

void coder_free(struct coder *c)
{
	if (c == NULL)
		return;
	if (c->coding == CODING_GZIP)
		(void)deflateEnd(&c->gzip);
	else if (c->coding == CODING_ZSTD)
		(void)ZSTD_freeCCtx(c->zstd);
	else if (c->br != NULL)
		BrotliEncoderDestroyInstance(c->br);
	free(c);
}

bool coder_run(struct coder *c, struct span in, enum coder_op op, struct coder_out *out)
{
	switch (c->coding) {
	case CODING_GZIP:
		return gzip_run(c, in, op, out);
	case CODING_ZSTD:
		return zstd_run(c, in, op, out);
	default:
		return brotli_run(c, in, op, out);
	}
}
