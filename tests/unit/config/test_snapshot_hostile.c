/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Blocks that another process made up: refused, or safe to look things up in. Each block stands at
 * the very end of its own allocation, so that the sanitizers see a read behind it. */
#include "lib/snapshot.h"
#include "lib/snapshot_format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

#define ROUNDS 60000u

static const char text[] =
        "node: n\nlisteners: [{address: 192.0.2.10}]\nports: [{interface: eth1}]\n"
        "upstreams: [{name: a, addresses: [\"o:80\"]}]\n"
        "routes:\n"
        "- {upstream: a, host: a.com, path: \"/v1/{a}/{b}\", methods: [GET]}\n"
        "- {upstream: a, host: a.com, path: /v1/x/*, methods: [GET]}\n"
        "- {upstream: a, host: a.com, path: /v1/x/y, methods: [POST]}\n"
        "- {upstream: a, host: \"*.b.com\", path: \"/{a}/x/{b}/*\", methods: [GET]}\n"
        "- {upstream: a}\n";

static const char *const hosts[] = {"a.com", "A.com", "x.b.com", "y.x.b.com", "", "other", "."};
static const char *const paths[] = {"/",        "/v1/x/y", "/v1/x/z", "/v1/q/z",
                                    "/1/x/2/3", "//x//",   "/v1/x/",  ""};

static struct snapshot *original(void)
{
	struct config_error err;
	struct snapshot *s = NULL;
	struct config *cfg;

	if (config_parse(text, strlen(text), "t", &cfg, &err) != ST_OK)
		fail_msg("%s", err.text);
	assert_int_equal(snapshot_build(cfg, &s, &err), ST_OK);
	config_free(cfg);
	return s;
}

/* Reads whatever a lookup hands out. */
static uint32_t use(const struct snapshot *s, struct span path, const struct route_match *m)
{
	struct span host = snapshot_text(s, m->route->host_off, m->route->host_len);
	struct span pattern = snapshot_text(s, m->route->path_off, m->route->path_len);
	uint32_t sum = m->route->upstream;

	assert_true(m->index < s->route_count);
	assert_true(m->route->upstream < s->upstream_count);
	assert_true(m->param_count <= SNAPSHOT_MAX_PARAMS);
	for (size_t i = 0; i < host.len; i++)
		sum += (unsigned char)host.ptr[i];
	for (size_t i = 0; i < pattern.len; i++)
		sum += (unsigned char)pattern.ptr[i];
	for (uint32_t i = 0; i < m->param_count; i++)
		assert_true(m->params[i].ptr >= path.ptr &&
		            m->params[i].ptr + m->params[i].len <= path.ptr + path.len);
	return sum;
}

static uint32_t look_up_all(const struct snapshot *s)
{
	uint32_t sum = 0;

	for (size_t h = 0; h < ARRAY_LEN(hosts); h++) {
		for (size_t p = 0; p < ARRAY_LEN(paths); p++) {
			struct span path = span_cstr(paths[p]);
			struct route_match m;

			if (snapshot_route(s, span_cstr(hosts[h]), path, HTTP_GET, &m) ==
			    ROUTE_FOUND)
				sum += use(s, path, &m);
		}
	}
	for (uint32_t i = 0; i < s->node_len; i++)
		sum += (unsigned char)snapshot_text(s, s->node_off, s->node_len).ptr[i];
	return sum;
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void mutate(struct snapshot *s, uint32_t len, uint64_t *seed)
{
	static const uint32_t values[] = {0,      1,          7,           8,           64,
	                                  0xffff, 0x7fffffff, 0x80000000u, 0xfffffff8u, UINT32_MAX};
	uint32_t changes = 1 + (uint32_t)(next_random(seed) % 3);

	while (changes-- > 0) {
		uint32_t at = (uint32_t)(next_random(seed) % len);
		uint32_t word = (uint32_t)(next_random(seed) % ARRAY_LEN(values));
		uint32_t small = (uint32_t)(next_random(seed) % 600);

		switch (next_random(seed) % 3) {
		case 0:
			((unsigned char *)s)[at] ^= (unsigned char)(1u << (next_random(seed) % 8));
			break;
		case 1:
			memcpy((char *)s + (at & ~3u), &values[word], sizeof(values[word]));
			break;
		default:
			memcpy((char *)s + (at & ~3u), &small, sizeof(small));
			break;
		}
	}
}

static void test_mutations(void **state)
{
	struct snapshot *good = original();
	uint32_t len = good->total_bytes, accepted = 0, refused = 0, sum = 0;
	uint64_t seed = 0x9e3779b97f4a7c15ull;

	(void)state;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct snapshot *s = malloc(len);

		assert_non_null(s);
		memcpy(s, good, len);
		mutate(s, len, &seed);
		/* The id hides nothing: who makes a block up can compute it too. */
		if (s->total_bytes == len)
			s->id = snapshot_content_id(s);
		if (snapshot_check(s, len) == ST_OK) {
			accepted++;
			sum += look_up_all(s);
		} else {
			refused++;
		}
		free(s);
	}
	free(good);
	assert_true(sum > 0);
	assert_true(accepted > ROUNDS / 100);
	assert_true(refused > ROUNDS / 10);
}

static void test_lengths(void **state)
{
	struct snapshot *good = original();
	uint32_t len = good->total_bytes;

	(void)state;
	for (uint32_t n = 0; n < len; n++) {
		struct snapshot *s = malloc(n + 1);

		assert_non_null(s);
		memcpy(s, good, n);
		assert_int_not_equal(snapshot_check(s, n), ST_OK);
		free(s);
	}
	assert_int_equal(snapshot_check(good, len), ST_OK);
	assert_int_equal(snapshot_check(good, SNAPSHOT_MAX_BYTES + 1), ST_TOOBIG);
	assert_int_equal(snapshot_check((const char *)good + 4, len - 4), ST_INVALID);
	free(good);
}

static struct snap_host *host_at(struct snapshot *s, uint32_t i)
{
	return (struct snap_host *)(void *)((char *)s + s->hosts_off) + i;
}

static struct snap_node *node_at(struct snapshot *s, uint32_t host, uint32_t i)
{
	return (struct snap_node *)(void *)((char *)s + host_at(s, host)->nodes_off) + i;
}

static struct snap_route *route_at(struct snapshot *s, uint32_t i)
{
	return (struct snap_route *)(void *)((char *)s + s->routes_off) + i;
}

static void break_magic(struct snapshot *s)
{
	s->magic++;
}

static void break_version(struct snapshot *s)
{
	s->version++;
}

static void break_head_bytes(struct snapshot *s)
{
	s->limits.head_bytes = UINT32_MAX;
}

static void break_timeout(struct snapshot *s)
{
	s->timeouts.miss_ms = 0;
}

static void break_stages(struct snapshot *s)
{
	s->stages = CONFIG_STAGES_ALL + 1;
}

static void break_idle(struct snapshot *s)
{
	s->idle = 2;
}

static void break_node_name(struct snapshot *s)
{
	((char *)s)[s->node_off] = '\r';
}

static void break_upstream(struct snapshot *s)
{
	route_at(s, 1)->upstream = (uint16_t)s->upstream_count;
}

static void break_methods(struct snapshot *s)
{
	route_at(s, 0)->methods |= 1u << HTTP_METHOD_COUNT;
}

static void break_align(struct snapshot *s)
{
	s->hosts_off += 4;
}

static void break_in_head(struct snapshot *s)
{
	route_at(s, 0)->path_off = 8;
}

static void break_cycle(struct snapshot *s)
{
	node_at(s, 0, 1)->param_child = 1;
}

static void break_two_parents(struct snapshot *s)
{
	node_at(s, 0, 0)->param_child = 2;
}

static void break_orphan(struct snapshot *s)
{
	node_at(s, 0, 0)->child_count = 0;
}

static void break_ends(struct snapshot *s)
{
	*(uint32_t *)(void *)((char *)s + host_at(s, 0)->ends_off) = s->route_count;
}

static void break_shared_ends(struct snapshot *s)
{
	for (uint32_t i = 0; i < host_at(s, 0)->node_count; i++) {
		node_at(s, 0, i)->end_first = 0;
		node_at(s, 0, i)->end_count = host_at(s, 0)->end_count;
	}
}

static void break_kind(struct snapshot *s)
{
	host_at(s, 0)->kind = SNAP_HOST_ANY;
}

static void break_no_hosts(struct snapshot *s)
{
	s->host_count = 0;
}

static void break_no_nodes(struct snapshot *s)
{
	host_at(s, 0)->node_count = 0;
}

static void test_single_faults(void **state)
{
	static void (*const faults[])(struct snapshot *) = {
	        break_magic,   break_version,   break_head_bytes,  break_timeout,  break_idle,
	        break_stages,  break_node_name, break_upstream,    break_methods,  break_align,
	        break_in_head, break_cycle,     break_two_parents, break_orphan,   break_ends,
	        break_kind,    break_no_hosts,  break_shared_ends, break_no_nodes,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		struct snapshot *s = original();

		faults[i](s);
		s->id = snapshot_content_id(s);
		if (snapshot_check(s, s->total_bytes) == ST_OK)
			fail_msg("fault %zu was accepted", i);
		free(s);
	}
}

/* The same table of hosts again behind the block: fine at a multiple of 8, and nowhere else. */
static void test_alignment(void **state)
{
	struct snapshot *good = original();
	uint32_t size = good->host_count * (uint32_t)sizeof(struct snap_host);

	(void)state;
	for (uint32_t shift = 0; shift <= 8; shift++) {
		uint32_t len = good->total_bytes + shift + size;
		struct snapshot *s = calloc(1, len);

		assert_non_null(s);
		memcpy(s, good, good->total_bytes);
		memcpy((char *)s + good->total_bytes + shift, host_at(good, 0), size);
		s->hosts_off = good->total_bytes + shift;
		s->total_bytes = len;
		s->id = snapshot_content_id(s);
		assert_int_equal(snapshot_check(s, len), shift % 8 == 0 ? ST_OK : ST_CORRUPT);
		free(s);
	}
	free(good);
}

static void test_id_is_checked(void **state)
{
	struct snapshot *s = original();

	(void)state;
	s->id ^= 1;
	assert_int_equal(snapshot_check(s, s->total_bytes), ST_CORRUPT);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_mutations),     cmocka_unit_test(test_lengths),
	        cmocka_unit_test(test_single_faults), cmocka_unit_test(test_id_is_checked),
	        cmocka_unit_test(test_alignment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
