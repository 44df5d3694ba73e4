/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The protocol's bytes, by hiredis: its command formatter, and its reader with object functions of
 * our own, which bound what one answer may cost. docs/decisions/redis-client.md tells why not its
 * connections. */
#include "cache/l3_redis.h"

#include <hiredis/hiredis.h>
#include <limits.h>
#include <stdlib.h>

#define WORDS_MAX 12u

struct reply_reader {
	redisReader *hi;
	uint64_t max_bytes;
	uint64_t used_bytes; /* of the answer that is being read */
};

/* --- objects --- */

void reply_free(struct reply *r)
{
	if (r == NULL)
		return;
	for (uint32_t i = 0; i < r->count; i++)
		reply_free(r->items[i]);
	free(r);
}

const struct reply *reply_item(const struct reply *r, uint32_t i, enum reply_kind kind)
{
	if (r == NULL || r->kind != REPLY_ARRAY || i >= r->count || r->items[i] == NULL ||
	    r->items[i]->kind != kind)
		return NULL;
	return r->items[i];
}

/* An object with room behind it, linked into the array that it belongs to. */
static struct reply *object_new(const redisReadTask *task, enum reply_kind kind, size_t room)
{
	struct reply_reader *rd = task->privdata;
	struct reply *parent = task->parent != NULL ? task->parent->obj : NULL;
	struct reply *r;

	if (room > rd->max_bytes || rd->used_bytes + room + sizeof(*r) > rd->max_bytes)
		return NULL;
	r = malloc(sizeof(*r) + room);
	if (r == NULL)
		return NULL;
	*r = (struct reply){.kind = kind};
	rd->used_bytes += room + sizeof(*r);
	if (parent != NULL)
		parent->items[task->idx] = r;
	return r;
}

static void *make_string(const redisReadTask *task, char *str, size_t len)
{
	enum reply_kind kind = task->type == REDIS_REPLY_ERROR    ? REPLY_ERROR
	                       : task->type == REDIS_REPLY_STATUS ? REPLY_STATUS
	                                                          : REPLY_STRING;
	struct reply *r = len < SIZE_MAX / 2 ? object_new(task, kind, len + 1) : NULL;
	char *text;

	if (r == NULL)
		return NULL;
	text = (char *)(r + 1);
	memcpy(text, str, len);
	text[len] = '\0';
	r->text = span_of(text, len);
	return r;
}

static void *make_array(const redisReadTask *task, int elements)
{
	size_t room = (size_t)elements * sizeof(struct reply *);
	struct reply *r = elements >= 0 ? object_new(task, REPLY_ARRAY, room) : NULL;

	if (r == NULL)
		return NULL;
	r->items = (struct reply **)(void *)(r + 1);
	memset(r->items, 0, room);
	r->count = (uint32_t)elements;
	return r;
}

static void *make_integer(const redisReadTask *task, long long value)
{
	struct reply *r = object_new(task, REPLY_INTEGER, 0);

	if (r != NULL)
		r->integer = value;
	return r;
}

static void *make_nil(const redisReadTask *task)
{
	return object_new(task, REPLY_NIL, 0);
}

static void free_object(void *obj)
{
	reply_free(obj);
}

static redisReplyObjectFunctions object_functions = {
        .createString = make_string,
        .createArray = make_array,
        .createInteger = make_integer,
        .createNil = make_nil,
        .freeObject = free_object,
};

/* --- the reader --- */

struct reply_reader *reader_create(uint64_t max_bytes)
{
	struct reply_reader *rd = calloc(1, sizeof(*rd));

	if (rd == NULL)
		return NULL;
	rd->max_bytes = max_bytes;
	rd->hi = redisReaderCreateWithFunctions(&object_functions);
	if (rd->hi == NULL) {
		free(rd);
		return NULL;
	}
	rd->hi->privdata = rd;
	return rd;
}

void reader_free(struct reply_reader *rd)
{
	if (rd == NULL)
		return;
	redisReaderFree(rd->hi);
	free(rd);
}

enum status reader_feed(struct reply_reader *rd, struct span bytes)
{
	/* What is announced but not there yet is not allocated: what is there is the bound. */
	if (rd->hi->len - rd->hi->pos + bytes.len > rd->max_bytes)
		return ST_TOOBIG;
	return redisReaderFeed(rd->hi, bytes.ptr, bytes.len) == REDIS_OK ? ST_OK : ST_NOMEM;
}

enum status reader_next(struct reply_reader *rd, struct reply **out)
{
	void *reply = NULL;

	if (redisReaderGetReply(rd->hi, &reply) != REDIS_OK)
		return rd->hi->err == REDIS_ERR_OOM ? ST_TOOBIG : ST_CORRUPT;
	if (reply == NULL)
		return ST_AGAIN;
	rd->used_bytes = 0;
	*out = reply;
	return ST_OK;
}

char *command_format(const struct span *words, uint32_t count, size_t *len)
{
	const char *argv[WORDS_MAX];
	size_t argvlen[WORDS_MAX];
	char *text = NULL;
	int n;

	assert(count <= WORDS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		argv[i] = words[i].ptr;
		argvlen[i] = words[i].len;
	}
	n = redisFormatCommandArgv(&text, (int)count, argv, argvlen);
	if (n < 0)
		return NULL;
	*len = (size_t)n;
	return text;
}
