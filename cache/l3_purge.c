/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/l3_purge.h"

#include <stdlib.h>

#define RECORD_VERSION 1u
#define SLOTS          65536u /* 24 bytes each; collisions make values void too early */
#define US_PER_MS      1000ull

struct l3_purges {
	struct inval *log;
	uint64_t node; /* by which we know our own records */
	uint64_t floor_ms;
};

struct record {
	uint8_t version;
	uint8_t kind;
	uint8_t soft;
	uint8_t zero[5];
	uint64_t node;
	uint64_t wall_ms;
};
static_assert(sizeof(struct record) == L3_PURGE_RECORD_HEAD, "stored layout");

enum status l3_purges_create(struct l3_purges **out)
{
	struct l3_purges *v = calloc(1, sizeof(*v));
	enum status st;

	if (v == NULL)
		return ST_NOMEM;
	st = inval_create(&v->log, SLOTS);
	if (st != ST_OK) {
		free(v);
		return st;
	}
	random_bytes(&v->node, sizeof(v->node));
	*out = v;
	return ST_OK;
}

void l3_purges_destroy(struct l3_purges *v)
{
	if (v == NULL)
		return;
	inval_destroy(v->log);
	free(v);
}

void l3_purges_add(struct l3_purges *v, const struct l3_purge *p, uint64_t now_ms)
{
	uint64_t at_us = min_u64(p->wall_ms, now_ms + L3_SKEW_MS) * US_PER_MS;
	struct inval_purge purge = {
	        .seq = max_u64(at_us, 1),
	        .kind = (enum inval_kind)p->kind,
	        .text = p->text,
	};

	inval_add(v->log, &purge);
}

void l3_purges_floor(struct l3_purges *v, uint64_t wall_ms)
{
	v->floor_ms = max_u64(v->floor_ms, wall_ms);
}

/* The log asks the object itself when it was born: it is shown a copy that says so in our time. */
static bool log_says_void(const struct inval *log, const struct object *o, uint64_t born_us)
{
	size_t len = object_head_bytes(o);
	struct object *copy = malloc(len);
	bool is_void;

	if (copy == NULL)
		return true;
	memcpy(copy, o, len);
	copy->born_seq = born_us;
	is_void = inval_check_fill(log, copy) != INVAL_LIVE;
	free(copy);
	return is_void;
}

bool l3_purges_void(const struct l3_purges *v, const struct object *o, uint64_t asked_ms)
{
	uint64_t born_ms = asked_ms > L3_SKEW_MS ? asked_ms - L3_SKEW_MS : 0;

	if (v->floor_ms != 0 && born_ms <= v->floor_ms)
		return true;
	/* Mostly nothing was purged since, whatever it was. */
	if (inval_seq(v->log) < born_ms * US_PER_MS || inval_seq(v->log) == 0)
		return false;
	return log_says_void(v->log, o, born_ms == 0 ? 0 : born_ms * US_PER_MS - 1);
}

size_t l3_purges_write(const struct l3_purges *v, const struct l3_purge *p, char *out)
{
	struct record r = {
	        .version = RECORD_VERSION,
	        .kind = p->kind,
	        .soft = p->soft,
	        .node = v->node,
	        .wall_ms = p->wall_ms,
	};

	memcpy(out, &r, sizeof(r));
	if (p->text.len > 0)
		memcpy(out + sizeof(r), p->text.ptr, p->text.len);
	return sizeof(r) + p->text.len;
}

enum status l3_purges_read(const struct l3_purges *v, struct span record, struct l3_purge *p)
{
	struct record r;

	if (record.len < sizeof(r) || record.len > L3_PURGE_RECORD_MAX)
		return ST_INVALID;
	memcpy(&r, record.ptr, sizeof(r));
	if (r.version != RECORD_VERSION || r.kind >= INVAL_KINDS || r.soft > 1)
		return ST_INVALID;
	if (r.node == v->node)
		return ST_EXISTS;
	p->kind = r.kind;
	p->soft = r.soft != 0;
	p->wall_ms = r.wall_ms;
	p->before_ms = 0;
	p->text = span_of(record.ptr + sizeof(r), record.len - sizeof(r));
	return ST_OK;
}
