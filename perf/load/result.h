/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a load run found: counts and latencies, of each stage, endpoint and the whole. Each worker
 * fills a result of its own; they are merged at the end, and a running one is read for the progress
 * line. The engine writes it, reports read it. */
#ifndef PERF_LOAD_RESULT_H
#define PERF_LOAD_RESULT_H

#include "lib/base.h"
#include "lib/hist.h"
#include "perf/load/scenario.h"

/* Log-linear: 128 steps an octave (error below 0.8 %), 0 to 2^40 ns. */
#define LOAD_HIST_SUB_BITS 7u
#define LOAD_HIST_MAX_BITS 40u
#define LOAD_HIST_BUCKETS  ((LOAD_HIST_MAX_BITS - LOAD_HIST_SUB_BITS + 1) << LOAD_HIST_SUB_BITS)

struct load_hist {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t min_ns;
	uint64_t max_ns;
	uint64_t bucket[LOAD_HIST_BUCKETS];
};

/* All zero is an empty one. */
static inline void load_hist_add(struct load_hist *h, uint64_t ns)
{
	h->bucket[hist_log_index(ns, LOAD_HIST_SUB_BITS, LOAD_HIST_MAX_BITS)]++;
	h->min_ns = h->count == 0 || ns < h->min_ns ? ns : h->min_ns;
	h->max_ns = ns > h->max_ns ? ns : h->max_ns;
	h->sum_ns += ns;
	h->count++;
}

void load_hist_merge(struct load_hist *dst, const struct load_hist *src);
/* q in [0, 1]; 0 when empty. Never above max_ns. */
uint64_t load_hist_quantile_ns(const struct load_hist *h, double q);

enum load_error {
	LOAD_ERR_CONNECT,  /* refused, timed out or unreachable */
	LOAD_ERR_RESET,    /* with requests under way */
	LOAD_ERR_CLOSED,   /* FIN with requests under way */
	LOAD_ERR_TIMEOUT,  /* no whole answer within timeout_ns; the connection is given up */
	LOAD_ERR_PROTOCOL, /* what came is not HTTP/1.1 */
	LOAD_ERR_STATUS,   /* a status outside the endpoint's range */
	LOAD_ERR_UNSENT, /* open: not sent when the stage ended, or no connection was free for it */
	LOAD_ERR_COUNT
};

const char *load_error_name(enum load_error e);

struct load_counts {
	uint64_t sent;      /* requests */
	uint64_t answered;  /* whole answers of any status */
	uint64_t connected; /* handshakes that ended well */
	uint64_t bytes_in;  /* of answers, heads and bodies */
	uint64_t bytes_out;
	uint64_t hits;        /* Cache-Status says hit (RFC 9211) */
	uint64_t cache_known; /* answers with Cache-Status */
	uint64_t errors[LOAD_ERR_COUNT];
	uint64_t status[600]; /* by code */
};

struct load_part {
	struct load_counts counts;
	/* From the intended start (open) or from the sending (closed) to the answer's last byte; of
	 * a request that timed out, what it had waited. */
	struct load_hist latency;
	/* From the sending; the difference to latency is the wait for a connection or for the
	 * client. */
	struct load_hist service;
	uint64_t duration_ns; /* that it was measured for */
};

struct result {
	const struct scenario *scenario;
	const char *transport;
	char target[128];
	char started[32]; /* RFC 3339, UTC */
	uint32_t workers;
	uint32_t open_links;  /* now */
	uint64_t cpu_busy_ns; /* of all workers, as transport_stats */
	uint64_t elapsed_ns;  /* since the end of the warm-up */
	double offered; /* requests a second that open stages asked for, mean over them; 0: none. */
	bool interrupted;
	struct load_part total;
	struct load_part stages[SCENARIO_STAGES];
	struct load_part endpoints[SCENARIO_ENDPOINTS];
};

/* NULL: no memory. */
struct result *result_create(const struct scenario *s);
void result_destroy(struct result *r);

/* The client was the limit: its busy share of all workers' time, and whether that is above 90 %. */
double result_client_share(const struct result *r);
bool result_client_bound(const struct result *r);
/* Errors of all kinds. */
uint64_t load_errors(const struct load_counts *c);
/* One of the figures that are times, ns; 0 for others. */
double load_hist_figure(const struct load_hist *h, enum load_figure figure);
/* Value of a figure in the threshold's unit; part: total or one endpoint's. */
double result_figure(const struct load_part *part, enum load_figure figure);

/* Reports. thresholds: of the scenario; each prints their verdicts. */
struct report_options {
	bool table;       /* for people, on standard output */
	const char *json; /* file names, "-": standard output, NULL: none */
	const char *prometheus;
	const char *markdown;
	int argc; /* the command, for the report; argv[0] is left out */
	char **argv;
};

/* False when a file could not be written (said on standard error). */
bool result_report(const struct result *r, const struct report_options *o);
/* All thresholds hold. */
bool result_passes(const struct result *r);
/* Two JSON reports side by side with ratios; returns the exit code: 0 nothing got worse by more
 * than tolerance (0.1: ten percent), 1 something did, 2 a file cannot be read. */
int result_compare(const char *before, const char *after, double tolerance);

/* The progress line, once a second to standard error while it is a terminal (or forced): stage,
 * rate, p50, p99, errors, hit rate over the last second. */
struct progress;
struct progress *progress_create(const struct scenario *s, bool force);
void progress_destroy(struct progress *p);
/* now: a merged view of all workers, counted since the start. */
void progress_show(struct progress *p, const struct result *now, uint32_t stage, uint64_t now_ns);

#endif
