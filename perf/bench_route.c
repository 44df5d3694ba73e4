/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What choosing a route costs a core, and what a configuration costs control: parse, compile,
 * check. */
#include "lib/snapshot.h"
#include "perf/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TEXT_ROOM (1u << 20)
#define ROUNDS    9u
#define HEAD                                                               \
	"listeners: [{address: 192.0.2.10}]\nports: [{interface: eth1}]\n" \
	"upstreams: [{name: a, addresses: [\"o:80\"]}]\nroutes:\n"

static double now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void text_write(char *text, uint32_t routes)
{
	size_t used = (size_t)snprintf(text, TEXT_ROOM, HEAD);

	if (routes == 1)
		used += (size_t)snprintf(text + used, TEXT_ROOM - used, "- {upstream: a}\n");
	for (uint32_t i = 0; routes > 1 && i < routes; i++)
		used += (size_t)snprintf(text + used, TEXT_ROOM - used,
		                         "- {upstream: a, host: h%u.example.com, "
		                         "path: \"/v%u/items/{id}\"}\n",
		                         i % 16, i / 16);
}

/* Nanoseconds of a lookup: the least of several rounds. */
static double lookup_ns(const struct snapshot *s, const char *path, uint32_t times)
{
	struct span host = SPAN_LIT("h7.example.com"), where = span_cstr(path);
	double least = 1e18;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		double start = now_ns(), took;

		for (uint32_t i = 0; i < times; i++) {
			struct route_match m;

			if (snapshot_route(s, host, where, HTTP_GET, &m) != ROUTE_FOUND)
				abort();
			__asm__ volatile("" : : "r"(&m) : "memory");
		}
		took = (now_ns() - start) / times;
		least = took < least ? took : least;
	}
	return least;
}

static void measure(struct report *r, char *text, uint32_t routes)
{
	struct config_error err;
	struct config *cfg;
	struct snapshot *s;
	double at[4];

	text_write(text, routes);
	at[0] = now_ns();
	if (config_parse(text, strlen(text), "bench", &cfg, &err) != ST_OK) {
		(void)fprintf(stderr, "%s\n", err.text);
		exit(EXIT_FAILURE);
	}
	at[1] = now_ns();
	if (snapshot_build(cfg, &s, &err) != ST_OK) {
		(void)fprintf(stderr, "%s\n", err.text);
		exit(EXIT_FAILURE);
	}
	at[2] = now_ns();
	if (snapshot_check(s, s->total_bytes) != ST_OK)
		abort();
	at[3] = now_ns();
	report_add(r, lookup_ns(s, "/v0/items/4711", r->short_run ? 1000 : 200000), "one lookup",
	           "route_%u_ns", routes);
	report_add(r, (at[1] - at[0]) / 1e6, "file to structures", "parse_%u_ms", routes);
	report_add(r, (at[2] - at[1]) / 1e6, "structures to snapshot", "build_%u_ms", routes);
	report_add(r, (at[3] - at[2]) / 1e6, "bytes to trust", "check_%u_ms", routes);
	report_add(r, s->total_bytes, "snapshot", "size_%u_bytes", routes);
	free(s);
	config_free(cfg);
}

int main(int argc, char **argv)
{
	static const uint32_t counts[] = {1, 64, 1024, 4096};
	struct report r;
	char *text;

	if (report_init(&r, "Costs of choosing a route, and of reading a configuration.", argc,
	                argv) != 0) {
		(void)fprintf(stderr, "bench_route takes no arguments; see --help\n");
		return 2;
	}
	text = malloc(TEXT_ROOM);
	if (!text)
		return EXIT_FAILURE;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		measure(&r, text, counts[i]);
	free(text);
	report_print(&r);
	return EXIT_SUCCESS;
}
