/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What scenario*.c and threshold.c share with each other and with nobody else. */
#ifndef PERF_LOAD_SCENARIO_PRIVATE_H
#define PERF_LOAD_SCENARIO_PRIVATE_H

#include "perf/load/scenario.h"
#include "perf/load/template.h"

/* Without stages and endpoints. */
void scenario_init(struct scenario *s);
void scenario_endpoint_init(struct load_endpoint *e);
/* A copy that lives as long as the scenario, with a NUL behind it; ptr NULL: no memory. */
struct span scenario_keep(struct scenario *s, struct span text);
/* Sets the method; false: no memory. */
bool scenario_endpoint_line(struct scenario *s, struct load_endpoint *e, struct span method);
/* "GET /path", as much as fits. */
void scenario_endpoint_name(struct load_endpoint *e, struct span method, struct span target);

/* The checks of texts; NULL when the text is good, else what is wrong and what would be right, to
 * be read after the text itself. */
const char *scenario_line_split(struct span line, struct span *method, struct span *target);
const char *scenario_header_wrong(struct span name, struct span value);
bool scenario_is_token(struct span text);
/* Writes the reason; false. */
bool scenario_refuse(struct config_error *err, const char *fmt, ...) PRINTF(2, 3);

/* Takes the number that text begins with from it; false when it begins with none. */
bool scenario_number(struct span *text, double *out);

/* Reads "p95 < 150ms" into t, all but the endpoint; NULL, or what is wrong. */
const char *threshold_parse(struct span text, struct load_threshold *t);

#endif
