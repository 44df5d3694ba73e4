/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An admin server with doubles behind it, and clients of its socket. Whatever waits runs the loop
 * meanwhile, with a deadline. */
#ifndef TESTS_UNIT_ADMIN_ADMIN_FIXTURE_H
#define TESTS_UNIT_ADMIN_ADMIN_FIXTURE_H

#include "control/admin/admin_server.h"
#include "tests/unit/admin/fake_control.h"

#include <jansson.h>

struct fixture {
	char *dir;
	struct control *ctl;
	struct admin *admin;
	char *text; /* the last answer */
};

int fixture_setup(void **state);
int fixture_teardown(void **state);

int fixture_client(struct fixture *f);
void fixture_pump(struct fixture *f, uint32_t rounds);
/* A line into f->text without its end; false when the connection ended instead. */
bool fixture_line(struct fixture *f, int fd);
void fixture_send(struct fixture *f, int fd, const char *text, size_t len);
json_t *fixture_answer(struct fixture *f, int fd);
/* One request on a connection of its own: the whole answer, or the result of one that must be ok.
 */
json_t *fixture_ask(struct fixture *f, const char *line);
json_t *fixture_ask_ok(struct fixture *f, const char *line);
/* The request fails, and the error has this part. */
void expect_error(struct fixture *f, const char *line, const char *part);

/* Members that must be there. */
json_int_t int_at(json_t *object, const char *name);
const char *text_at(json_t *object, const char *name);

#endif
