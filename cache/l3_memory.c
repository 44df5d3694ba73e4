/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The shared store in the process's own memory: for tests, and for one node that wants the tier's
 * rules without a server. Bounded bytes, the oldest value goes first. There are no other nodes, so
 * purges go nowhere. */
#include "cache/l3_backend.h"

#include "lib/hash.h"

#include <stdlib.h>

#define BUCKETS 16384u

struct value {
	struct value *next;      /* in its bucket */
	struct value *newer;     /* in the order of storing */
	struct value **older_at; /* what points to us in that order */
	uint64_t until_ns;
	uint32_t key_len;
	uint32_t bucket;
	size_t len;
	char bytes[]; /* key, then value */
};

/* A get that is to be answered in the next round. */
struct answer {
	struct answer *next;
	struct l3_wait *wait;
	struct span key;
	char text[];
};

struct memory {
	const struct l3_env *env;
	uint64_t seed;
	uint64_t bytes;
	struct value *oldest;
	struct value **newest_at;
	struct answer *answers;
	struct answer **answers_end;
	struct loop_timer timer;
	uint32_t in_flight;
	struct value *buckets[BUCKETS];
};

static size_t cost(const struct value *v)
{
	return sizeof(*v) + v->key_len + v->len;
}

static struct value **find(struct memory *m, struct span key, uint32_t bucket)
{
	struct value **at = &m->buckets[bucket];

	while (*at != NULL && !span_eq(span_of((*at)->bytes, (*at)->key_len), key))
		at = &(*at)->next;
	return at;
}

static uint32_t bucket_of(const struct memory *m, struct span key)
{
	return (uint32_t)(hash64(key.ptr, key.len, m->seed) % BUCKETS);
}

static void value_remove(struct memory *m, struct value **at)
{
	struct value *v = *at;

	*at = v->next;
	*v->older_at = v->newer;
	if (v->newer != NULL)
		v->newer->older_at = v->older_at;
	else
		m->newest_at = v->older_at;
	m->bytes -= cost(v);
	free(v);
}

static void make_room(struct memory *m, size_t need)
{
	while (m->oldest != NULL && m->bytes + need > m->env->cfg->memory_bytes) {
		struct value *v = m->oldest;

		value_remove(m, find(m, span_of(v->bytes, v->key_len), v->bucket));
	}
}

static enum status memory_del(void *b, struct span key)
{
	struct memory *m = b;
	struct value **at = find(m, key, bucket_of(m, key));

	if (*at != NULL)
		value_remove(m, at);
	return ST_OK;
}

static enum status memory_put(void *b, struct span key, struct span value, uint64_t keep_ms)
{
	struct memory *m = b;
	size_t need = sizeof(struct value) + key.len + value.len;
	struct value *v;

	memory_del(m, key);
	if (need > m->env->cfg->memory_bytes)
		return ST_FULL;
	make_room(m, need);
	v = malloc(need);
	if (v == NULL)
		return ST_NOMEM;
	v->bucket = bucket_of(m, key);
	v->key_len = (uint32_t)key.len;
	v->len = value.len;
	v->until_ns = loop_now_ns(m->env->loop) + keep_ms * NS_PER_MS;
	memcpy(v->bytes, key.ptr, key.len);
	memcpy(v->bytes + key.len, value.ptr, value.len);
	v->next = m->buckets[v->bucket];
	m->buckets[v->bucket] = v;
	v->newer = NULL;
	v->older_at = m->newest_at;
	*m->newest_at = v;
	m->newest_at = &v->newer;
	m->bytes += need;
	return ST_OK;
}

static void answer_now(struct memory *m, struct answer *a)
{
	struct value **at = find(m, a->key, bucket_of(m, a->key));
	struct value *v = *at;

	if (v != NULL && v->until_ns <= loop_now_ns(m->env->loop)) {
		value_remove(m, at);
		v = NULL;
	}
	/* The callback may store: what it is shown must not go meanwhile. */
	char *copy = v != NULL ? malloc(v->len) : NULL;

	if (copy == NULL) {
		l3_answer(a->wait, ST_NOTFOUND, (struct span){0});
		return;
	}
	size_t len = v->len;
	memcpy(copy, v->bytes + v->key_len, len);
	m->env->counts->bytes_in += len;
	l3_answer(a->wait, ST_OK, span_of(copy, len));
	free(copy);
}

static void on_timer(struct loop_timer *t)
{
	struct memory *m = t->arg;
	struct answer *a = m->answers;

	m->answers = NULL;
	m->answers_end = &m->answers;
	while (a != NULL) {
		struct answer *next = a->next;

		m->in_flight--;
		answer_now(m, a);
		free(a);
		a = next;
	}
}

static enum status memory_get(void *b, struct span key, struct l3_wait *wait)
{
	struct memory *m = b;
	struct answer *a;

	if (m->in_flight >= m->env->cfg->in_flight)
		return ST_FULL;
	a = malloc(sizeof(*a) + key.len);
	if (a == NULL)
		return ST_NOMEM;
	memcpy(a->text, key.ptr, key.len);
	a->key = span_of(a->text, key.len);
	a->wait = wait;
	a->next = NULL;
	if (m->answers == NULL)
		loop_timer_set(m->env->loop, &m->timer, loop_now_ns(m->env->loop));
	*m->answers_end = a;
	m->answers_end = &a->next;
	m->in_flight++;
	return ST_OK;
}

static void memory_watch(void *b)
{
	struct memory *m = b;

	m->env->purge_ready(m->env->owner);
}

static void memory_publish(void *b, struct span record, struct span everything)
{
	(void)b;
	(void)record;
	(void)everything;
}

static void memory_state(const void *b, struct l3_counts *out)
{
	const struct memory *m = b;

	out->in_flight = m->in_flight;
	out->servers = 0;
	out->servers_open = 0;
	out->open = false;
}

static enum status memory_create(void **out, const struct l3_env *env)
{
	struct memory *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return ST_NOMEM;
	m->env = env;
	m->newest_at = &m->oldest;
	m->answers_end = &m->answers;
	m->timer = (struct loop_timer){.fn = on_timer, .arg = m};
	random_bytes(&m->seed, sizeof(m->seed));
	*out = m;
	return ST_OK;
}

static void memory_destroy(void *b)
{
	struct memory *m = b;

	loop_timer_cancel(m->env->loop, &m->timer);
	while (m->answers != NULL) {
		struct answer *a = m->answers;

		m->answers = a->next;
		l3_answer(a->wait, ST_CLOSED, (struct span){0});
		free(a);
	}
	while (m->oldest != NULL) {
		struct value *v = m->oldest;

		m->oldest = v->newer;
		free(v);
	}
	free(m);
}

const struct l3_backend l3_backend_memory = {
        .name = "memory",
        .create = memory_create,
        .destroy = memory_destroy,
        .get = memory_get,
        .put = memory_put,
        .del = memory_del,
        .watch = memory_watch,
        .publish = memory_publish,
        .state = memory_state,
};
