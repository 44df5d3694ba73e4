/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The commands that sluicectl does alone, without a server. */
#ifndef CONTROL_CLI_LOCAL_H
#define CONTROL_CLI_LOCAL_H

#include "lib/config.h"

#include <jansson.h>
#include <stdio.h>

/* Loads the file and compiles its routes as both processes would. NULL when it is refused: error
 * then has the complete text. */
json_t *local_config_check(const char *file, char error[CONFIG_ERROR_TEXT]);
/* The argument file of args, if it is there, becomes argument data: the file's bytes. "-": standard
 * input. False: it cannot be read, or is no UTF-8; error says so. */
bool local_file_read(json_t *args, const char *file, const char *data, char error[static 512]);
/* A bash script that completes commands and options. */
void local_completion(FILE *out);

#endif
