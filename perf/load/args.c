/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/args.h"

#include "perf/load/args_private.h"
#include "perf/load/usage.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define COUNT_MAX 1e6
#define RATE_MAX  1e9

enum {
	OPT_POISSON = 256,
	OPT_CONSTANT,
	OPT_NEW_CONNECTIONS,
	OPT_REQUESTS_PER_CONNECTION,
	OPT_MAX_CONNECTIONS,
	OPT_RESET,
	OPT_THINK,
	OPT_BODY,
	OPT_BODY_FILE,
	OPT_TRANSPORT,
	OPT_DEVICE,
	OPT_LOCAL,
	OPT_NEXT_HOP,
	OPT_HUGE_PAGES,
	OPT_CPU,
	OPT_SCENARIO,
	OPT_SCALE,
	OPT_THRESHOLD,
	OPT_JSON,
	OPT_PROMETHEUS,
	OPT_MARKDOWN,
	OPT_TIMEOUT,
	OPT_WARMUP,
	OPT_SEED,
	OPT_SIGN,
	OPT_KEYS,
	OPT_ZIPF,
	OPT_PROGRESS,
	OPT_VERSION,
};

static const struct option long_options[] = {
        {"connections", required_argument, NULL, 'c'},
        {"duration", required_argument, NULL, 'd'},
        {"rate", required_argument, NULL, 'r'},
        {"pipeline", required_argument, NULL, 'p'},
        {"threads", required_argument, NULL, 't'},
        {"header", required_argument, NULL, 'H'},
        {"method", required_argument, NULL, 'X'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {"poisson", no_argument, NULL, OPT_POISSON},
        {"constant", no_argument, NULL, OPT_CONSTANT},
        {"new-connections", no_argument, NULL, OPT_NEW_CONNECTIONS},
        {"requests-per-connection", required_argument, NULL, OPT_REQUESTS_PER_CONNECTION},
        {"max-connections", required_argument, NULL, OPT_MAX_CONNECTIONS},
        {"reset", no_argument, NULL, OPT_RESET},
        {"think", required_argument, NULL, OPT_THINK},
        {"body", required_argument, NULL, OPT_BODY},
        {"body-file", required_argument, NULL, OPT_BODY_FILE},
        {"transport", required_argument, NULL, OPT_TRANSPORT},
        {"device", required_argument, NULL, OPT_DEVICE},
        {"local", required_argument, NULL, OPT_LOCAL},
        {"next-hop", required_argument, NULL, OPT_NEXT_HOP},
        {"huge-pages", no_argument, NULL, OPT_HUGE_PAGES},
        {"cpu", required_argument, NULL, OPT_CPU},
        {"scenario", required_argument, NULL, OPT_SCENARIO},
        {"scale", required_argument, NULL, OPT_SCALE},
        {"threshold", required_argument, NULL, OPT_THRESHOLD},
        {"json", required_argument, NULL, OPT_JSON},
        {"prometheus", required_argument, NULL, OPT_PROMETHEUS},
        {"markdown", required_argument, NULL, OPT_MARKDOWN},
        {"timeout", required_argument, NULL, OPT_TIMEOUT},
        {"warmup", required_argument, NULL, OPT_WARMUP},
        {"seed", required_argument, NULL, OPT_SEED},
        {"sign", required_argument, NULL, OPT_SIGN},
        {"keys", required_argument, NULL, OPT_KEYS},
        {"zipf", required_argument, NULL, OPT_ZIPF},
        {"progress", no_argument, NULL, OPT_PROGRESS},
        {"version", no_argument, NULL, OPT_VERSION},
        {0},
};

bool args_complain(const char *fmt, ...)
{
	va_list args;

	fputs("sluice-bench: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return false;
}

/* --- values --- */

static const char *option_name(int option)
{
	for (const struct option *o = long_options; o->name != NULL; o++)
		if (o->val == option)
			return o->name;
	return "?";
}

/* "128", "10k"; from `least` to `most`. */
static bool number_read(int option, double least, double most, double *out)
{
	double v;

	if (!scenario_rate(span_cstr(optarg), &v) || v < least || v > most)
		return args_complain("--%s %s: a number from %.10g to %.10g is needed, for example "
		                     "100 or 10k",
		                     option_name(option), optarg, least, most);
	*out = v;
	return true;
}

static bool count_read(int option, double least, double most, double *out)
{
	if (!number_read(option, least, most, out))
		return false;
	if (*out != floor(*out))
		return args_complain("--%s %s: a whole number is needed", option_name(option),
		                     optarg);
	return true;
}

/* "10s", "250ms"; a bare number is seconds, as wrk has it. */
static bool duration_read(int option, bool zero, double *out)
{
	uint64_t ns = 0;
	char *end;
	double seconds = strtod(optarg, &end);

	if (isdigit((unsigned char)optarg[0]) && *end == '\0' && seconds < 1e9)
		ns = (uint64_t)(seconds * (double)NS_PER_S);
	else if (!scenario_duration(span_cstr(optarg), &ns))
		return args_complain("--%s %s: a duration is needed, for example 30s, 5m or 250ms",
		                     option_name(option), optarg);
	if (ns == 0 && !zero)
		return args_complain("--%s %s: it must be longer than nothing", option_name(option),
		                     optarg);
	*out = (double)ns;
	return true;
}

/* "0", "0,2", "1-3". */
static bool cpus_read(struct args *a)
{
	const char *at = optarg;

	while (*at != '\0') {
		char *end;
		long from = strtol(at, &end, 10);
		long to = from;

		if (end != at && *end == '-') {
			at = end + 1;
			to = strtol(at, &end, 10);
		}
		if (end == at || (*end != ',' && *end != '\0') || from < 0 || to < from ||
		    to > 4095 || a->engine.cpu_count + (uint64_t)(to - from) >= ARGS_CPUS)
			return args_complain(
			        "--cpu %s: a list of CPUs is needed, for example 0 or 0,2 "
			        "or 4-7",
			        optarg);
		for (; from <= to; from++)
			a->cpus[a->engine.cpu_count++] = (int)from;
		at = *end == ',' ? end + 1 : end;
	}
	a->engine.cpus = a->cpus;
	return a->engine.cpu_count > 0 || args_complain("--cpu: it names no CPU");
}

static bool list_add(const char **list, uint32_t *count, uint32_t most, int option)
{
	if (*count == most)
		return args_complain("--%s %s: one too many; at most %u", option_name(option),
		                     optarg, most);
	list[(*count)++] = optarg;
	return true;
}

/* --- options --- */

/* Those that describe the load. */
static bool load_option(struct wishes *w, int o)
{
	switch (o) {
	case 'c':
		return count_read(o, 1, COUNT_MAX, &w->connections);
	case 'd':
		return duration_read(o, false, &w->duration_ns);
	case 'r':
		return number_read(o, 0.001, RATE_MAX, &w->rate);
	case 'p':
		return count_read(o, 1, 1024, &w->pipeline);
	case OPT_POISSON:
		w->arrival = ARRIVAL_POISSON;
		return true;
	case OPT_CONSTANT:
		w->arrival = ARRIVAL_CONSTANT;
		return true;
	case OPT_NEW_CONNECTIONS:
		w->per_connection = 1;
		return true;
	case OPT_REQUESTS_PER_CONNECTION:
		return count_read(o, 0, 1e15, &w->per_connection);
	case OPT_MAX_CONNECTIONS:
		return count_read(o, 1, COUNT_MAX, &w->max_connections);
	case OPT_THINK:
		return duration_read(o, true, &w->think_ns);
	case OPT_TIMEOUT:
		return duration_read(o, false, &w->timeout_ns);
	case OPT_WARMUP:
		return duration_read(o, true, &w->warmup_ns);
	case OPT_SEED:
		return count_read(o, 0, 1e15, &w->seed);
	case OPT_SCALE:
		return number_read(o, 1e-6, 1e6, &w->scale);
	case OPT_KEYS:
		return count_read(o, 1, 1e12, &w->keys);
	case OPT_ZIPF:
		return number_read(o, 0, 10, &w->zipf);
	default:
		return false;
	}
}

/* Those that describe requests and what is wanted of the answers. */
static bool request_option(struct wishes *w, int o)
{
	switch (o) {
	case 'H':
		return list_add(w->headers, &w->header_count, SCENARIO_HEADERS, o);
	case 'X':
		w->method = optarg;
		return true;
	case OPT_BODY:
		w->body = optarg;
		return true;
	case OPT_BODY_FILE:
		w->body_file = optarg;
		return true;
	case OPT_SCENARIO:
		w->scenario = optarg;
		return true;
	case OPT_THRESHOLD:
		return list_add(w->thresholds, &w->threshold_count, SCENARIO_THRESHOLDS, o);
	case OPT_SIGN:
		w->sign = optarg;
		return true;
	default:
		return false;
	}
}

/* Those that go to the engine and the reports as they are. */
static bool plain_option(struct args *a, int o)
{
	switch (o) {
	case 'q':
		a->quiet = true;
		return true;
	case OPT_RESET:
		a->engine.reset = true;
		return true;
	case OPT_TRANSPORT:
		a->transport = optarg;
		return true;
	case OPT_DEVICE:
		a->engine.transport.device = optarg;
		return true;
	case OPT_LOCAL:
		a->engine.transport.local = optarg;
		return true;
	case OPT_NEXT_HOP:
		a->engine.transport.next_hop = optarg;
		return true;
	case OPT_HUGE_PAGES:
		a->engine.transport.huge_pages = true;
		return true;
	case OPT_CPU:
		return cpus_read(a);
	case OPT_JSON:
		a->report.json = optarg;
		return true;
	case OPT_PROMETHEUS:
		a->report.prometheus = optarg;
		return true;
	case OPT_MARKDOWN:
		a->report.markdown = optarg;
		return true;
	case OPT_PROGRESS:
		a->progress = true;
		return true;
	default:
		return false;
	}
}

static bool is_load(int o)
{
	return o == 'c' || o == 'd' || o == 'r' || o == 'p' || o == OPT_POISSON ||
	       o == OPT_CONSTANT || o == OPT_NEW_CONNECTIONS || o == OPT_REQUESTS_PER_CONNECTION ||
	       o == OPT_MAX_CONNECTIONS || o == OPT_THINK || o == OPT_TIMEOUT || o == OPT_WARMUP ||
	       o == OPT_SEED || o == OPT_SCALE || o == OPT_KEYS || o == OPT_ZIPF;
}

static bool is_request(int o)
{
	return o == 'H' || o == 'X' || o == OPT_BODY || o == OPT_BODY_FILE || o == OPT_SCENARIO ||
	       o == OPT_THRESHOLD || o == OPT_SIGN;
}

static bool option_take(struct args *a, struct wishes *w, int o)
{
	if (o == 't')
		return count_read(o, 1, ENGINE_WORKERS_MAX, &w->threads);
	if (is_load(o))
		return load_option(w, o);
	return is_request(o) ? request_option(w, o) : plain_option(a, o);
}

static bool positional_take(struct wishes *w, const char *text)
{
	bool url = strstr(text, "://") != NULL;
	const char **to = url ? &w->url : &w->scenario;

	if (*to != NULL)
		return args_complain("%s: %s was given already (%s); see --help", text,
		                     url ? "a URL" : "a scenario", *to);
	*to = text;
	return true;
}

enum args_result args_read(struct args *a, int argc, char **argv)
{
	struct wishes w = {
	        .arrival = -1,
	        .per_connection = -1,
	        .think_ns = -1,
	        .warmup_ns = -1,
	        .seed = -1,
	        .zipf = -1,
	};
	int o;

	memset(a, 0, sizeof(*a));
	a->engine.scenario = &a->scenario;
	a->report.table = true;
	a->report.argc = argc;
	a->report.argv = argv;
	while ((o = getopt_long(argc, argv, "c:d:r:p:t:H:X:qh", long_options, NULL)) != -1) {
		if (o == 'h') {
			usage_print();
			return ARGS_DONE;
		}
		if (o == OPT_VERSION) {
			puts("sluice-bench " SLUICE_VERSION);
			return ARGS_DONE;
		}
		/* getopt has said what is wrong itself. */
		if (o == '?' || !option_take(a, &w, o))
			return ARGS_BAD;
	}
	for (; optind < argc; optind++)
		if (!positional_take(&w, argv[optind]))
			return ARGS_BAD;
	if (args_build(a, &w))
		return ARGS_RUN;
	args_free(a);
	return ARGS_BAD;
}

void args_free(struct args *a)
{
	scenario_free(&a->scenario);
}
