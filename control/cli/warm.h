/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `sluicectl cache warm`: sends a list of requests in parts, names its bad lines, shows progress on
 * a terminal, waits for the end. */
#ifndef CONTROL_CLI_WARM_H
#define CONTROL_CLI_WARM_H

#include "control/cli/cli_args.h"
#include "control/cli/cli_client.h"

/* *result is the report for result_print, the caller's. ST_INVALID without an error in c: the list
 * could not be read, which was said. */
enum status warm_run(struct cli_client *c, struct cli_args *args, json_t **result);
/* Did all of it go well? */
bool warm_went_well(json_t *result);

#endif
