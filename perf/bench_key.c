/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a cache key costs: the default one, and those of rules with one to four values, with
 * filters, with a scope, with credentials, with a JSON body. One core, everything in cache, best of
 * several rounds. --only NAME --count N: so many of one case and nothing else, for callgrind. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cache/key_program.h"
#include "perf/report.h"

#define ROUNDS   15
#define ROUND_NS (20 * NS_PER_MS)
#define BATCH    1000u

#define FIELDS                                                                         \
	"Accept: application/json\r\nUser-Agent: curl/8.5.0\r\nX-Request-Id: 7f3a\r\n" \
	"Accept-Encoding: gzip\r\nX-Tenant-Id: acme\r\nX-Policy-Hash: cdd01ef066bc6cf2\r\n"

struct bench_case {
	const char *name;
	const char *rule; /* NULL: none */
	const char *target;
	const char *fields;
	const char *body;
};

static const struct bench_case cases[] = {
        {"default", NULL, "/v1/risks/7?page=2&severity=high&status=open", FIELDS, NULL},
        {"public_1", "public: true, key: \"risk:id:{path.id}\"", "/v1/risks/7", FIELDS, NULL},
        {"public_4",
         "public: true, key: \"risk:{path.id}:page={query.page}:severity={query.severity}:"
         "status={query.status}\"",
         "/v1/risks/7?page=2&severity=high&status=open", FIELDS, NULL},
        {"filters_4",
         "public: true, key: \"risk:{path.id}:page={query.page|1}:severity="
         "{query.severity|lower}:status={query.status|lower|alias(t)}\"",
         "/v1/risks/7?page=2&severity=HIGH&status=open", FIELDS, NULL},
        {"scope_4",
         "key: \"risk:{path.id}:page={query.page|1}:severity={query.severity|lower}:"
         "status={query.status}\"",
         "/v1/risks/7?page=2&severity=HIGH&status=open", FIELDS, NULL},
        {"credential", "key: \"risk:{path.id}\"", "/v1/risks/7",
         FIELDS "Authorization: Bearer 6b1f0c2e9a7d4d3fb8c5e2a1907f6e5d\r\n", NULL},
        {"query_sorted", "public: true, key: \"risk:{path.id}:{query}\"",
         "/v1/risks/7?status=open&severity=high&page=2&size=50", FIELDS, NULL},
        {"body_3",
         "key: \"dec:{path.id}:{body.resource|semantic}:{body.capability}:{body.context}\"",
         "/v1/risks/7", FIELDS,
         "{\"resource\":\"/docs/17/notes\",\"capability\":\"read\",\"context\":{\"zone\":\"eu\","
         "\"purpose\":\"audit\"},\"trace\":[1,2,3,4,5,6,7,8]}"},
};

struct bench {
	struct snapshot *s;
	struct http_fields fields;
	struct route_match match;
	struct key_input in;
	char lines[1024];
};

static struct snapshot *snapshot_of(const char *rule)
{
	struct config_error err;
	struct snapshot *s;
	struct config *cfg;
	char text[2048];

	snprintf(
	        text, sizeof(text),
	        "listeners: [{address: 192.0.2.10}]\nports: [{interface: e}]\n"
	        "upstreams: [{name: a, addresses: [\"o:80\"]}]\nnode: n\n"
	        "routes: [{upstream: a, path: \"/v1/risks/{id}\", cache: {%s}}]\n"
	        "tables: [{name: t, values: [opened=open, o=open, c=closed, shut=closed]}]\n%s%s%s",
	        rule ? "rule: r" : "", rule ? "rules: [{name: r, " : "", rule ? rule : "",
	        rule ? "}]\n" : "");
	if (config_parse(text, strlen(text), "bench", &cfg, &err) != ST_OK ||
	    snapshot_build(cfg, &s, &err) != ST_OK) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	config_free(cfg);
	return s;
}

static void bench_init(struct bench *b, const struct bench_case *c)
{
	const char *mark = strchr(c->target, '?');
	int len = snprintf(b->lines, sizeof(b->lines), "%s\r\n", c->fields);
	size_t pos = 0;

	b->s = snapshot_of(c->rule);
	b->in = (struct key_input){
	        .fields = &b->fields,
	        .host = SPAN_LIT("api.example.com"),
	        .path = span_of(c->target, mark ? (size_t)(mark - c->target) : strlen(c->target)),
	        .query = mark ? span_cstr(mark + 1) : span_of(NULL, 0),
	        .body = c->body ? span_cstr(c->body) : span_of(NULL, 0),
	        .method = c->body ? HTTP_POST : HTTP_GET,
	        .params = b->match.params,
	        .seed = 0x123456789abcdefull,
	};
	if (http1_scan_fields(b->lines, (size_t)len, &pos, &b->fields) != HTTP_SCAN_DONE ||
	    snapshot_route(b->s, b->in.host, b->in.path, b->in.method, &b->match) != ROUTE_FOUND)
		exit(1);
	b->in.route = b->match.route;
	b->in.param_count = b->match.param_count;
}

static void keys_make(const struct bench *b, uint32_t count)
{
	const struct snap_rule *rule = key_rule(b->s, b->in.route);
	char buf[CACHE_KEY_MAX];
	struct cache_key key;

	for (uint32_t i = 0; i < count; i++) {
		bool ok = rule ? key_program_run(b->s, &rule->key, &b->in, buf, &key) == KEY_OK
		               : cache_key_default(buf, b->in.host, b->in.path, b->in.query,
		                                   b->in.seed, &key);

		if (!ok) {
			fprintf(stderr, "no key\n");
			exit(1);
		}
	}
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* The best round's nanoseconds a key. */
static double measure(const struct bench *b, int rounds)
{
	double best_ns = 1e9;

	for (int round = 0; round < rounds; round++) {
		uint64_t begin_ns = cpu_ns(), spent_ns, keys = 0;
		double ns;

		do {
			keys_make(b, BATCH);
			keys += BATCH;
			spent_ns = cpu_ns() - begin_ns;
		} while (spent_ns < ROUND_NS);
		ns = (double)spent_ns / (double)keys;
		best_ns = ns < best_ns ? ns : best_ns;
	}
	return best_ns;
}

static int run_only(const char *name, const char *count)
{
	static struct bench b;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (strcmp(cases[i].name, name) != 0)
			continue;
		bench_init(&b, &cases[i]);
		keys_make(&b, (uint32_t)strtoul(count, NULL, 10));
		free(b.s);
		return 0;
	}
	fprintf(stderr, "bench_key: no case '%s'\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	static struct bench b;
	struct report r;
	int more =
	        report_init(&r,
	                    "Makes the cache keys of requests: nanoseconds a key, CPU time of the "
	                    "thread, best of several rounds. --only NAME --count N makes so many "
	                    "of one case, for callgrind.",
	                    argc, argv);

	if (more == 4 && strcmp(r.argv[0], "--only") == 0 && strcmp(r.argv[2], "--count") == 0)
		return run_only(r.argv[1], r.argv[3]);
	if (more > 0) {
		fprintf(stderr, "bench_key: see --help\n");
		return 2;
	}
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bench_init(&b, &cases[i]);
		report_add(&r, measure(&b, r.short_run ? 1 : ROUNDS), "", "%s_ns", cases[i].name);
		free(b.s);
	}
	report_print(&r);
	free(r.argv);
	return 0;
}
