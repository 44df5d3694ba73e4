/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What making and counting a request costs the load tool: it must not be what is measured. */
#include "lib/clock.h"
#include "perf/load/result.h"
#include "perf/report.h"

#include <stdio.h>
#include <stdlib.h>

/* Short rounds and the least of many: what else runs on the machine does not count. */
#define TIMES 1000u

static const char stages[] = "stages: [{users: 1, for: 1s}]\n";

static const struct {
	const char *name;
	const char *note;
	const char *text;
} cases[] = {
        {"fixed", "one endpoint, nothing varies", "endpoints: [GET /]\n"},
        {"fixed_of_4", "of four endpoints", "endpoints: [GET /a, GET /b, GET /c, GET /d]\n"},
        {"key", "a key, evenly", "endpoints: ['GET /item/{key}']\nkeys: {count: 1000000}\n"},
        {"zipf", "a key by Zipf's law",
         "endpoints: ['GET /item/{key}']\nkeys: {count: 1000000, zipf: 1.1}\n"},
        {"body", "a body with a UUID and a time",
         "endpoints: [{request: POST /a, body: '{\"id\":\"{uuid}\",\"at\":{time|ms}}'}]\n"},
        {"signed", "a key, and PF-Sig",
         "endpoints: [{request: 'GET /item/{key}', sign: true}]\nkeys: {count: 1000000}\n"
         "signing: {mac_key: 00112233445566778899aabbccddeeff, policy_hash: "
         "cdd01ef066bc6cf2cdd01ef066bc6cf2cdd01ef066bc6cf2cdd01ef066bc6cf2}\n"},
};

static double make_cycles(struct request_maker *m, uint32_t rounds)
{
	double least = 1e18;

	for (uint32_t round = 0; round < rounds; round++) {
		uint64_t start = clock_cycles();

		for (uint32_t i = 0; i < TIMES; i++) {
			struct made_request r;

			request_make(m, i, &r);
			__asm__ volatile("" : : "r"(&r) : "memory");
		}
		double took = (double)(clock_cycles() - start) / TIMES;
		least = took < least ? took : least;
	}
	return least;
}

static void measure_maker(struct report *r, size_t which, uint32_t rounds)
{
	static struct scenario s;
	struct config_error err;
	struct request_maker *m;
	char text[1024];
	int len = snprintf(text, sizeof(text), "%s%s", stages, cases[which].text);

	if (scenario_parse(&s, span_of(text, (size_t)len), "bench", &err) != ST_OK) {
		(void)fprintf(stderr, "%s\n", err.text);
		exit(EXIT_FAILURE);
	}
	m = request_maker_create(&s, 0);
	if (!m)
		exit(EXIT_FAILURE);
	report_add(r, make_cycles(m, rounds), cases[which].note, "make_%s_cycles",
	           cases[which].name);
	request_maker_destroy(m);
	scenario_free(&s);
}

static void measure_hist(struct report *r, uint32_t rounds)
{
	struct load_hist *h = calloc(1, sizeof(*h));
	double least = 1e18;

	if (!h)
		exit(EXIT_FAILURE);
	for (uint32_t round = 0; round < rounds; round++) {
		uint64_t start = clock_cycles();

		for (uint32_t i = 0; i < TIMES; i++)
			load_hist_add(h, 20000 + (i * 7919ull) % 65536);
		double took = (double)(clock_cycles() - start) / TIMES;
		least = took < least ? took : least;
	}
	report_add(r, least, "an answer's latency", "count_cycles");
	free(h);
}

int main(int argc, char **argv)
{
	struct report r;
	uint32_t rounds;

	(void)report_init(&r, "Cycles that the load tool spends on a request of its own.", argc,
	                  argv);
	rounds = r.short_run ? 20 : 1000;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		measure_maker(&r, i, rounds);
	measure_hist(&r, rounds);
	report_print(&r);
	return EXIT_SUCCESS;
}
