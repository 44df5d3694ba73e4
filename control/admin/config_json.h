/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A configuration as JSON, member for member as the file names them, so that `config show` printed
 * as YAML is a configuration file again. Reads only. */
#ifndef CONTROL_ADMIN_CONFIG_JSON_H
#define CONTROL_ADMIN_CONFIG_JSON_H

#include "lib/config.h"

#include <jansson.h>

/* The caller's. NULL when memory ran out. */
json_t *config_json(const struct config *cfg);

#endif
