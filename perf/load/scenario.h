/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a load run does: stages, requests and their weights, keys, thresholds. Read from a YAML file
 * (scenario_read; errors name file, line and column) or made from command line options. Read-only
 * while a run lasts, shared by all workers. */
#ifndef PERF_LOAD_SCENARIO_H
#define PERF_LOAD_SCENARIO_H

#include "lib/base.h"
#include "lib/config.h"
#include "lib/http1.h"
#include "lib/span.h"
#include "lib/status.h"

#define SCENARIO_STAGES     32u
#define SCENARIO_ENDPOINTS  64u
#define SCENARIO_HEADERS    32u
#define SCENARIO_THRESHOLDS 32u
#define SCENARIO_NAME       64u

enum load_mode {
	LOAD_CLOSED, /* so many virtual users, each waits for its answer */
	LOAD_OPEN,   /* so many requests a second, answered or not */
};

enum load_arrival { ARRIVAL_CONSTANT, ARRIVAL_POISSON };

/* From one level to another, linearly; equal levels hold. */
struct load_stage {
	char name[SCENARIO_NAME]; /* "stage 1" when the file has none */
	enum load_mode mode;
	uint64_t duration_ns;
	double from; /* virtual users, or requests a second */
	double to;
};

/* Text with variables, compiled: literal pieces and what stands between them. */
struct template;

struct load_header {
	struct span name;
	struct template *value;
};

struct load_endpoint {
	char name[SCENARIO_NAME];
	double weight; /* share among all weights */
	enum http_method method;
	struct span method_name; /* as sent; also for methods without an id */
	struct template *target; /* origin form */
	struct load_header headers[SCENARIO_HEADERS];
	uint32_t header_count;
	struct template *body; /* NULL: none; else Content-Length is sent */
	bool sign;             /* with PF-Sig */
	uint16_t status_from;  /* an answer outside is an error: 200 to 399 */
	uint16_t status_to;
};

struct load_keys {
	uint64_t count; /* {key} is 1 to count */
	double zipf;    /* exponent; 0: all alike */
};

struct load_sign {
	char policy_hash[65]; /* 64 lower-case hex digits */
	uint8_t mac_key[64];
	uint32_t mac_key_len;
};

/* "p95 < 150ms", "errors < 0.5%", "hit_rate > 0.92", "rate > 900", of the whole run or of an
 * endpoint ("list: p99 < 20ms"). */
enum load_figure {
	FIGURE_MEAN,
	FIGURE_P50,
	FIGURE_P90,
	FIGURE_P95,
	FIGURE_P99,
	FIGURE_P999,
	FIGURE_MAX,
	FIGURE_ERRORS,   /* share of requests */
	FIGURE_TIMEOUTS, /* share of requests */
	FIGURE_HIT_RATE, /* share of answers that say so by Cache-Status */
	FIGURE_RATE,     /* answers a second */
};

struct load_threshold {
	char text[96]; /* as written */
	enum load_figure figure;
	int endpoint; /* index, -1: all */
	bool below;   /* the figure must be below value, else above */
	double value; /* ns, share or 1/s */
};

struct scenario {
	char name[SCENARIO_NAME];
	char about[256];
	struct load_stage stages[SCENARIO_STAGES];
	uint32_t stage_count;
	struct load_endpoint endpoints[SCENARIO_ENDPOINTS];
	uint32_t endpoint_count;
	struct load_keys keys;
	struct load_sign signing;
	bool can_sign;
	struct load_threshold thresholds[SCENARIO_THRESHOLDS];
	uint32_t threshold_count;
	enum load_arrival arrival;        /* of open stages */
	uint32_t connections;             /* open stages: kept open; 0: as many as are needed */
	uint32_t max_connections;         /* of an open stage that is not keeping up: 10,000 */
	uint32_t pipeline;                /* requests under way on a connection: 1 */
	uint64_t requests_per_connection; /* 0: any number; 1: a new one for each */
	uint64_t think_min_ns;            /* closed: between answer and next request, evenly */
	uint64_t think_max_ns;
	uint64_t timeout_ns; /* of a request: 30 s */
	uint64_t warmup_ns;  /* before the first stage, at its level, not counted */
	uint64_t seed;       /* of all that is random: 1 */
	struct span
	        host; /* Host field; empty: main sets the server's name and port before the run */
	struct scenario_bytes *bytes; /* what spans point into */
};

/* Closed, 1 user, 10 s, one endpoint "GET /". */
void scenario_default(struct scenario *s);
/* name: a file, or the name of a shipped one ("smoke"). On failure err holds the whole text. */
enum status scenario_read(struct scenario *s, const char *name, struct config_error *err);
enum status scenario_parse(struct scenario *s, struct span text, const char *name,
                           struct config_error *err);
void scenario_free(struct scenario *s);
/* Durations times factor, at least a second each stage: for short runs. */
void scenario_scale(struct scenario *s, double factor);
/* From the command line; errors begin with the option's place, as "--threshold: ...". False with
 * the reason in err. */
/* "p95 < 150ms"; one for an endpoint names it first: "list: p99 < 20ms". */
bool scenario_threshold_add(struct scenario *s, const char *text, struct config_error *err);
/* "/path", "GET /path": instead of all endpoints there are. */
bool scenario_request_set(struct scenario *s, const char *text, struct config_error *err);
/* "Name: value", to all endpoints. */
bool scenario_header_add(struct scenario *s, const char *text, struct config_error *err);
/* Of all endpoints; a GET becomes a POST. */
bool scenario_body_set(struct scenario *s, struct span text, struct config_error *err);
/* Host of all requests. */
bool scenario_host_set(struct scenario *s, struct span host);
/* "30s", "250ms", "1m30s"; "1000", "5k", "90/m"; false when it is none. */
bool scenario_duration(struct span text, uint64_t *out_ns);
bool scenario_rate(struct span text, double *out);
/* The names and descriptions of those that are shipped, for `sluice-bench list`, to standard
 * output. */
void scenario_list(void);
/* The file of a shipped one, for `sluice-bench show`; empty when there is none such. */
struct span scenario_shipped(const char *name);

/* Makes requests for one worker: chooses an endpoint by weight and a key, fills in templates. */
struct request_maker;

struct made_request {
	struct span bytes; /* valid until the next call */
	enum http_method method;
	uint32_t endpoint;
};

/* worker: index, so that workers differ and a run can be repeated. NULL: no memory. */
struct request_maker *request_maker_create(const struct scenario *s, uint32_t worker);
void request_maker_destroy(struct request_maker *m);
/* user: number of the virtual user or connection, for {user}. */
void request_make(struct request_maker *m, uint32_t user, struct made_request *out);
/* Evenly distributed in [0, 1), from the same generator. */
double request_random(struct request_maker *m);

#endif
