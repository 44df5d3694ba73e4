/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One connection to sluice-control's admin socket. Blocks, with a deadline for each answer. Every
 * failure comes as a text for people that says what to do. */
#ifndef CONTROL_CLI_CLI_CLIENT_H
#define CONTROL_CLI_CLI_CLIENT_H

#include "lib/base.h"
#include "lib/status.h"

#include <jansson.h>

#define CLIENT_TEXT_MAX 1024u

struct cli_client {
	int fd;
	char *in; /* received and not used yet */
	size_t in_len;
	size_t in_room;
	char error[CLIENT_TEXT_MAX]; /* after a failure */
	char hint[CLIENT_TEXT_MAX];  /* "" when there is none */
};

enum status client_open(struct cli_client *c, const char *path);
/* Sends {"cmd", "args"} and waits for the answer; *result is the caller's. args is not taken over.
 */
enum status client_ask(struct cli_client *c, const char *cmd, json_t *args, json_t **result);
void client_close(struct cli_client *c);

#endif
