/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a file leaves out, what profiles fill in, and the examples of the documentation. */
#include "lib/config.h"
#include "lib/config_doc.h"
#include "lib/config_params.h"
#include "lib/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAD           "listeners: [{address: 192.0.2.10}]\nports: [{interface: eth1}]\n"
#define TAIL           "routes: [{upstream: a}]\n"
#define UPSTREAM(more) "upstreams: [{name: a, addresses: [\"o:80\"]" more "}]\n"

static struct config *parse(const char *text)
{
	struct config_error err;
	struct config *cfg = NULL;

	if (config_parse(text, strlen(text), "t", &cfg, &err) != ST_OK)
		fail_msg("%s", err.text);
	return cfg;
}

/* The numbers that config.h promises, not those of the table. */
static void test_promised(void **state)
{
	struct config *c = parse(HEAD UPSTREAM("") TAIL);
	char host[256] = "";

	(void)state;
	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	assert_string_equal(c->node, host);
	assert_string_equal(c->run_dir, "/run/sluice");
	assert_int_equal(c->log_level, LOG_INFO);
	assert_int_equal(c->idle, IDLE_ADAPTIVE);
	assert_int_equal(c->idle_sleep_us, 100);
	assert_int_equal(c->stages, CONFIG_STAGES_SAMPLED);
	assert_int_equal(c->control_spin_us, 20);
	assert_int_equal(c->listeners_count, 1);
	assert_int_equal(c->listeners[0].port, 80);
	assert_int_equal(c->ports[0].type, PORT_AF_XDP);
	assert_int_equal(c->ports[0].cores_count, 1);
	assert_int_equal(c->ports[0].cores[0], sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 1 : 0);
	assert_int_equal(c->ports[0].rx_descriptors, 1024);
	assert_int_equal(c->ports[0].mtu, 0);
	assert_null(c->ports[0].device);
	assert_string_equal(c->ports[0].role, "server");
	assert_int_equal(c->memory.huge_pages, HUGE_AUTO);
	assert_int_equal(c->memory.hot_table_bytes, 64 << 20);
	assert_int_equal(c->memory.down_blocks, 4096);
	assert_int_equal(c->cache.l3.backend, L3_BACKEND_NONE);
	assert_int_equal(c->cache.l3.addresses_count, 0);
	assert_string_equal(c->cache.l3.prefix, "sluice:");
	assert_int_equal(c->cache.l3.timeout_ms, 50);
	assert_int_equal(c->cache.l3.pending_bytes, 64 << 20);
	assert_int_equal(c->cache.l3.purges_kept, 10000);
	assert_int_equal(c->cache.warm.on_start, CONFIG_OFF);
	assert_int_equal(c->cache.warm.share, CONFIG_OFF);
	assert_int_equal(c->cache.warm.save_s, 60);
	assert_int_equal(c->cache.warm.peers_count, 0);
	assert_null(c->cache.warm.file);
	assert_int_equal(c->limits.connections, 65536);
	assert_int_equal(c->limits.head_bytes, 8192);
	assert_int_equal(c->limits.body_bytes, 0);
	assert_int_equal(c->limits.response_head_bytes, 12288);
	assert_int_equal(c->timeouts.head_ms, 10000);
	assert_int_equal(c->timeouts.miss_grace_ms, 2000);
	assert_int_equal(c->tcp.initial_window, 10);
	assert_int_equal(c->tcp.retries, 12);
	assert_null(c->upstreams[0].host_header);
	assert_string_equal(c->routes[0].host, "*");
	assert_string_equal(c->routes[0].path, "/*");
	assert_int_equal(c->routes[0].methods_count, 7);
	assert_string_equal(c->routes[0].methods[0], "GET");
	assert_string_equal(c->routes[0].methods[6], "OPTIONS");
	assert_int_equal(c->routes[0].cache.mode, CONFIG_CACHE_ORIGIN);
	assert_string_equal(c->admin.socket, "/run/sluice/admin.sock");
	assert_string_equal(c->admin.metrics_address, "127.0.0.1");
	assert_int_equal(c->admin.metrics_port, 9900);
	config_free(c);
}

static const struct {
	const char *text;
	uint32_t connections, idle, lifetime_ms, queue;
} profiles[] = {
        {HEAD UPSTREAM("") TAIL, 100, 25, 3600000, 16384},
        {HEAD UPSTREAM(", profile: production") TAIL, 100, 25, 3600000, 16384},
        {HEAD UPSTREAM(", profile: staging") TAIL, 50, 10, 1800000, 16384},
        {HEAD UPSTREAM(", profile: development") TAIL, 10, 2, 600000, 16384},
        /* What the file says wins, also before the profile and also when it is zero. */
        {HEAD UPSTREAM(", max_connections: 7, profile: staging") TAIL, 7, 7, 1800000, 16384},
        {HEAD UPSTREAM(", profile: development, max_idle: 5") TAIL, 10, 5, 600000, 16384},
        {HEAD UPSTREAM(", max_idle: 0, queue: 0") TAIL, 100, 0, 3600000, 0},
        {HEAD UPSTREAM(", profile: development, lifetime_ms: 1000") TAIL, 10, 2, 1000, 16384},
};

static void test_profiles(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		struct config *c = parse(profiles[i].text);

		assert_int_equal(c->upstreams[0].max_connections, profiles[i].connections);
		assert_int_equal(c->upstreams[0].max_idle, profiles[i].idle);
		assert_int_equal(c->upstreams[0].lifetime_ms, profiles[i].lifetime_ms);
		assert_int_equal(c->upstreams[0].queue, profiles[i].queue);
		assert_int_equal(c->upstreams[0].idle_timeout_ms, 90000);
		config_free(c);
	}
}

static void test_lowered(void **state)
{
	struct config *c = parse("memory: {up_block_bytes: 8192, down_block_bytes: 8192}\n"
	                         "timeouts: {miss_ms: 500}\n" HEAD UPSTREAM("") TAIL);

	(void)state;
	assert_int_equal(c->limits.head_bytes, 4096);
	assert_int_equal(c->limits.target_bytes, 4096);
	assert_int_equal(c->limits.response_head_bytes, 5120);
	assert_int_equal(c->timeouts.miss_grace_ms, 500);
	config_free(c);
	c = parse("limits: {head_bytes: 1024}\n" HEAD UPSTREAM("") TAIL);
	assert_int_equal(c->limits.target_bytes, 1024);
	config_free(c);
}

/* Values that YAML dialects like to turn into something else. */
static void test_scalars(void **state)
{
	struct config *c =
	        parse("node: \"1e5\"\nmemory: {huge_pages: on}\nadmin: {metrics_port: 0}\n"
	              "limits: {body_bytes: 1125899906842624, "
	              "requests_per_connection: 4294967295}\n"
	              "listeners: [{address: 2001:db8::1, port: \"65535\"}]\n"
	              "ports: [{interface: eth1, cores: [0, 3, 1023]}]\n" UPSTREAM(
	                      "") "routes: [{upstream: a, cache: {mode: off}}]\n");

	(void)state;
	assert_string_equal(c->node, "1e5");
	assert_int_equal(c->memory.huge_pages, HUGE_ON);
	assert_int_equal(c->admin.metrics_port, 0);
	assert_true(c->limits.body_bytes == 1ull << 50);
	assert_int_equal(c->limits.requests_per_connection, UINT32_MAX);
	assert_int_equal(c->listeners[0].port, 65535);
	assert_int_equal(c->ports[0].cores_count, 3);
	assert_int_equal(c->ports[0].cores[2], 1023);
	assert_int_equal(c->routes[0].cache.mode, CONFIG_CACHE_OFF);
	config_free(c);
}

/* Every number's bounds are accepted by the table's own word, and every default lies within. */
static void test_table(void **state)
{
	(void)state;
	for (int s = 0; s < PARAM_SECTION_COUNT; s++) {
		struct param_group group = param_group((enum param_section)s);

		assert_true(group.count > 0);
		for (uint32_t i = 0; i < group.count; i++) {
			const struct param *p = &group.params[i];
			int64_t value;

			assert_ptr_equal(param_find((enum param_section)s, span_cstr(p->key)), p);
			assert_true(p->text[0] != '\0');
			if (p->kind == PARAM_ENUM)
				assert_true(param_name_value(&p->names, span_cstr(p->def_text),
				                             &value));
			if (p->kind != PARAM_UINT)
				continue;
			for (size_t d = 0; d < ARRAY_LEN(p->def); d++)
				assert_true(p->def[d] >= p->min && p->def[d] <= p->max);
			assert_true(!p->pow2 || (is_pow2(p->min) && is_pow2(p->max)));
			assert_true(p->size == 8 || p->max <= (1ull << (8 * p->size)) - 1);
		}
	}
}

static void test_examples(void **state)
{
	static const char *const names[] = {"minimal", "full", "memif", "api"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct config_error err;
		struct snapshot *snap;
		struct config *cfg;
		char path[512];

		(void)snprintf(path, sizeof(path), EXAMPLES "%s.yaml", names[i]);
		if (config_load(path, &cfg, &err) != ST_OK)
			fail_msg("%s", err.text);
		assert_int_equal(snapshot_build(cfg, &snap, &err), ST_OK);
		assert_int_equal(snapshot_check(snap, snap->total_bytes), ST_OK);
		free(snap);
		config_free(cfg);
	}
}

static char *file_text(const char *name)
{
	static char text[65536];
	FILE *file = fopen(name, "r");
	size_t len;

	assert_non_null(file);
	len = fread(text, 1, sizeof(text) - 1, file);
	text[len] = '\0';
	(void)fclose(file);
	return text;
}

static void test_minimal_is_short(void **state)
{
	const char *text = file_text(EXAMPLES "minimal.yaml");
	unsigned lines = 0;

	(void)state;
	for (const char *c = text; *c != '\0'; c++)
		lines += *c == '\n';
	assert_true(lines > 0 && lines <= 15);
}

static const struct doc_node *first_of(const struct doc_node *node)
{
	return node && node->kind == DOC_SEQUENCE ? doc_item(node, 0) : node;
}

/* Lists of mappings that may be left out stand in a comment, and so do their keys. */
static bool is_commented(const struct param *p)
{
	return p->kind == PARAM_MAPS && !p->required;
}

/* node: the section in the file; NULL: it is commented out. Keys without a default may stand in a
 * comment. */
static void check_full(const struct doc_node *node, enum param_section section, const char *text)
{
	struct param_group group = param_group(section);

	for (uint32_t i = 0; i < group.count; i++) {
		const struct param *p = &group.params[i];
		const struct doc_node *value = doc_key(node, p->key);
		char want[64];

		if (node && !value && strcmp(p->key, "ttl_s") != 0 && p->kind != PARAM_TEXT &&
		    !is_commented(p))
			fail_msg("full.yaml lacks %s in %s", p->key, group.path);
		(void)snprintf(want, sizeof(want), "%s", p->key);
		if (!strstr(text, want))
			fail_msg("full.yaml lacks %s", p->key);
		if (p->kind == PARAM_MAP || p->kind == PARAM_MAPS)
			check_full(first_of(value), p->child, text);
		if (p->kind == PARAM_UINT && value) {
			(void)snprintf(want, sizeof(want), "%llu",
			               (unsigned long long)p->def[PROFILE_PRODUCTION]);
			assert_string_equal(value->text.ptr, want);
		}
		if ((p->kind == PARAM_ENUM || p->kind == PARAM_TEXT) && value && p->def_text)
			assert_string_equal(value->text.ptr, p->def_text);
	}
}

static void test_full_is_full(void **state)
{
	const char *text = file_text(EXAMPLES "full.yaml");
	struct config_error err;
	struct doc doc;

	(void)state;
	assert_int_equal(doc_parse(&doc, span_cstr(text), "full", &err), ST_OK);
	check_full(doc.root, PARAM_top, text);
	doc_free(&doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_promised),
	        cmocka_unit_test(test_profiles),
	        cmocka_unit_test(test_lowered),
	        cmocka_unit_test(test_scalars),
	        cmocka_unit_test(test_table),
	        cmocka_unit_test(test_examples),
	        cmocka_unit_test(test_minimal_is_short),
	        cmocka_unit_test(test_full_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
