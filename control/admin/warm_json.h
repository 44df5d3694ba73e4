/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Warming as JSON, for `cache warm` and `cache stats`. Private to control/admin. */
#ifndef CONTROL_ADMIN_WARM_JSON_H
#define CONTROL_ADMIN_WARM_JSON_H

#include "control/metrics/metrics_view.h"

#include <jansson.h>

/* A job. */
json_t *warm_job_json(const struct warm_job_report *r);
/* Sources with their precision, jobs, and the hot list. w may be NULL. */
json_t *warm_json(const struct warm *w, const struct metrics_tiers *t);

#endif
