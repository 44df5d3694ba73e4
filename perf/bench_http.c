/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How fast request heads are read: for each SIMD path and each of three heads, nanoseconds and TSC
 * cycles a request and gigabytes a second. One core, the head in cache, median of several rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>
#include <x86intrin.h>

#include "dataplane/http/http_parse.h"

#define ROUNDS     15
#define ROUND_NS   (20 * NS_PER_MS)
#define BATCH      1000u
#define HEAD_COUNT 3u
#define PATH_COUNT 3u

struct head {
	const char *name;
	char *text;
	size_t len;
};

struct figure {
	const char *path;
	const char *head;
	size_t bytes;
	double ns;
	double cycles;
	double gb_s;
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

static struct figure measure(const char *path, const struct head *h, double per_ns)
{
	static struct http_request out;
	double best_ns = 1e9;

	for (int round = 0; round < ROUNDS; round++) {
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
	return (struct figure){path,    h->name,          h->len,
	                       best_ns, best_ns * per_ns, (double)h->len / best_ns};
}

static void print_table(const struct figure *f, size_t count)
{
	printf("%-7s %-8s %6s %9s %9s %7s\n", "path", "head", "bytes", "ns", "cycles", "GB/s");
	for (size_t i = 0; i < count; i++)
		printf("%-7s %-8s %6zu %9.1f %9.0f %7.2f\n", f[i].path, f[i].head, f[i].bytes,
		       f[i].ns, f[i].cycles, f[i].gb_s);
}

static void print_json(const struct figure *f, size_t count)
{
	struct utsname host = {0};

	uname(&host);
	printf("{\"name\": \"http\", \"figures\": {");
	for (size_t i = 0; i < count; i++)
		printf("%s\"%s_%s_ns\": %.1f, \"%s_%s_tsc_cycles\": %.0f, \"%s_%s_gb_s\": %.2f",
		       i > 0 ? ", " : "", f[i].path, f[i].head, f[i].ns, f[i].path, f[i].head,
		       f[i].cycles, f[i].path, f[i].head, f[i].gb_s);
	printf("}, \"machine\": \"%s %s %s\", \"command\": \"bench_http --json\"}\n", host.sysname,
	       host.release, host.machine);
}

int main(int argc, char **argv)
{
	static const char *const paths[PATH_COUNT] = {"scalar", "sse42", "avx2"};
	static char texts[HEAD_COUNT][8192];
	struct head heads[HEAD_COUNT] = {{"wrk", texts[0], sizeof(wrk_head) - 1},
	                                 {"browser", texts[1], sizeof(browser_head) - 1},
	                                 {"large", texts[2], 0}};
	struct figure figures[PATH_COUNT * HEAD_COUNT];
	double per_ns = tsc_per_ns();
	size_t count = 0;
	bool json = argc == 2 && strcmp(argv[1], "--json") == 0;

	if (argc > 1 && !json) {
		printf("usage: bench_http [--json]\n"
		       "Reads three request heads on each SIMD path; takes about 3 s.\n");
		return strcmp(argv[1], "--help") == 0 ? 0 : 2;
	}
	memcpy(texts[0], wrk_head, heads[0].len);
	memcpy(texts[1], browser_head, heads[1].len);
	heads[2].len = large_write(texts[2], sizeof(texts[2]));
	for (size_t p = 0; p < PATH_COUNT; p++) {
		if (http1_init(paths[p]) == NULL)
			continue;
		for (size_t h = 0; h < HEAD_COUNT; h++)
			figures[count++] = measure(paths[p], &heads[h], per_ns);
	}
	if (json)
		print_json(figures, count);
	else
		print_table(figures, count);
	return 0;
}
