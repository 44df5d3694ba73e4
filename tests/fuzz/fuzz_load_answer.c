/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Any bytes as a server's answers: the load tool's reader must say the same whether they come at
 * once, in pieces, or behind a memo of the answer before. The first byte is the size of the pieces,
 * the second the method. */
#include <stdlib.h>

#include "perf/load/http_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ANSWERS 64u

struct seen {
	uint32_t count;
	enum http_read last;
	bool eof;
	struct http_answer answers[ANSWERS + 1];
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Feeds the text in pieces, each a copy of its own. */
static void feed(struct seen *s, struct http_memo *memo, struct span text, size_t piece)
{
	static const enum http_method methods[] = {HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_CONNECT};
	enum http_method method = methods[(unsigned char)text.ptr[1] % ARRAY_LEN(methods)];
	struct http_client c = {0};
	size_t at = 2;

	*s = (struct seen){.last = HTTP_READ_MORE};
	while (at < text.len && s->last != HTTP_READ_BAD && s->count < ANSWERS) {
		size_t give = min_size(piece, text.len - at);
		char *copy = malloc(give);
		size_t used = 0;

		must(copy != NULL);
		memcpy(copy, text.ptr + at, give);
		s->last = http_client_read(&c, memo, method, span_of(copy, give), &used,
		                           &s->answers[s->count]);
		free(copy);
		must(used <= give);
		must(s->last != HTTP_READ_MORE || used == give);
		must(s->last != HTTP_READ_DONE || used > 0);
		s->count += s->last == HTTP_READ_DONE;
		at += used;
	}
	if (s->last == HTTP_READ_MORE && http_client_eof(&c, &s->answers[s->count])) {
		s->eof = true;
		s->count++;
	}
	http_client_free(&c);
}

static void same(const struct seen *a, const struct seen *b)
{
	must(a->count == b->count && a->last == b->last && a->eof == b->eof);
	for (uint32_t i = 0; i < a->count; i++) {
		const struct http_answer *x = &a->answers[i];
		const struct http_answer *y = &b->answers[i];

		must(x->bytes == y->bytes && x->status == y->status && x->keep == y->keep &&
		     x->cache_known == y->cache_known && x->hit == y->hit);
		must(x->status >= 200 && x->status <= 599);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_memo memo;
	static struct seen whole;
	static struct seen other;

	if (size < 3)
		return 0;
	struct span text = span_of(data, size);
	http1_init(NULL);
	feed(&whole, NULL, text, SIZE_MAX);
	feed(&other, NULL, text, (size_t)data[0] % 100 + 1);
	same(&whole, &other);
	memo.len = 0;
	feed(&other, &memo, text, SIZE_MAX);
	same(&whole, &other);
	feed(&other, &memo, text, (size_t)data[0] % 100 + 1);
	same(&whole, &other);
	return 0;
}
