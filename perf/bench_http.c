/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How fast request heads are read: for each SIMD path and each of three heads, nanoseconds and TSC
 * cycles a request and gigabytes a second. One core, the head in cache, median of several rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

#include "dataplane/http/http_parse.h"
#include "perf/report.h"

#define ROUNDS   15
#define ROUND_NS (20 * NS_PER_MS)
#define BATCH    1000u

struct head {
	const char *name;
	const char *text;
	size_t len;
};

static const char wrk_head[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

static const char browser_head[] =
        "GET /v1/catalog/items/8c2f41?fields=name,price,stock&page=2&sort=-created HTTP/1.1\r\n"
        "Host: api.shop.example.com\r\n"
        "Connection: keep-alive\r\n"
        "sec-ch-ua: \"Chromium\";v=\"118\", \"Not=A?Brand\";v=\"99\"\r\n"
        "Accept: application/json, text/plain, */*\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/118.0.0.0 Safari/537.36\r\n"
        "sec-ch-ua-platform: \"Linux\"\r\n"
        "Origin: https://www.shop.example.com\r\n"
        "Sec-Fetch-Mode: cors\r\n"
        "Referer: https://www.shop.example.com/catalog?page=2\r\n"
        "Accept-Encoding: gzip, deflate, br\r\n"
        "Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n"
        "If-None-Match: \"5f3a-60c8d1e2b7f40\"\r\n"
        "Cookie: sid=3f8a1c0b5d7e9f2a4c6e8b0d1f3a5c7e; theme=dark; lang=en\r\n"
        "\r\n";

/* The browser's head with a 4 KB cookie and 30 more fields. */
static size_t large_write(char *out, size_t cap)
{
	size_t len = sizeof(browser_head) - 1 - 2;

	memcpy(out, browser_head, len);
	for (int i = 0; i < 30; i++)
		len += (size_t)snprintf(out + len, cap - len, "X-Trace-Attribute-%d: %032d\r\n", i,
		                        i);
	len += (size_t)snprintf(out + len, cap - len, "Set-Session: %04096d\r\n\r\n", 0);
	return len;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static double tsc_per_ns(void)
{
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
	uint64_t begin_tsc = __rdtsc();
	uint64_t spent_ns;

	do
		spent_ns = clock_ns(CLOCK_MONOTONIC) - begin_ns;
	while (spent_ns < ROUND_NS);
	return (double)(__rdtsc() - begin_tsc) / (double)spent_ns;
}

static void parse_batch(const struct head *h, struct http_request *out)
{
	const struct http_limits limits = {16384, 8192, HTTP_MAX_FIELDS};

	for (unsigned i = 0; i < BATCH; i++) {
		struct http_parser p = {0};
		unsigned status;

		if (http_parse_request(&p, h->text, h->len, &limits, out, &status) !=
		    HTTP_PARSE_DONE) {
			fprintf(stderr, "the %s head is refused\n", h->name);
			exit(1);
		}
	}
}

/* The best round's nanoseconds a request. */
static double measure(const struct head *h, int rounds)
{
	static struct http_request out;
	double best_ns = 1e9;

	for (int round = 0; round < rounds; round++) {
		uint64_t begin_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		uint64_t requests = 0;
		uint64_t spent_ns;
		double ns;

		do {
			parse_batch(h, &out);
			requests += BATCH;
			spent_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns;
		} while (spent_ns < ROUND_NS);
		ns = (double)spent_ns / (double)requests;
		best_ns = ns < best_ns ? ns : best_ns;
	}
	return best_ns;
}

static void add_figures(struct report *r, const char *path, const struct head *h, double ns)
{
	char note[64];

	snprintf(note, sizeof(note), "%zu bytes", h->len);
	report_add(r, ns, note, "%s_%s_ns", path, h->name);
	report_add(r, ns * tsc_per_ns(), "a request", "%s_%s_tsc_cycles", path, h->name);
	report_add(r, (double)h->len / ns, "", "%s_%s_gb_per_s", path, h->name);
}

int main(int argc, char **argv)
{
	static const char *const paths[] = {"scalar", "sse42", "avx2"};
	static char large[8192];
	const struct head heads[] = {{"wrk", wrk_head, sizeof(wrk_head) - 1},
	                             {"browser", browser_head, sizeof(browser_head) - 1},
	                             {"large", large, large_write(large, sizeof(large))}};
	struct report r;

	if (report_init(&r,
	                "Reads three request heads on each SIMD path of this CPU: nanoseconds and "
	                "TSC cycles a request, and gigabytes a second. CPU time of the thread, "
	                "best of several rounds.",
	                argc, argv) > 0) {
		fprintf(stderr, "bench_http: no arguments besides options\n");
		return 2;
	}
	for (size_t p = 0; p < ARRAY_LEN(paths); p++) {
		if (http1_init(paths[p]) == NULL)
			continue;
		for (size_t h = 0; h < ARRAY_LEN(heads); h++)
			add_figures(&r, paths[p], &heads[h],
			            measure(&heads[h], r.short_run ? 1 : ROUNDS));
	}
	report_print(&r);
	free(r.argv);
	return 0;
}
