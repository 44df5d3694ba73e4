/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The answer of each command as text for people. Called by sluicectl with the "result" of an
 * answer; reads nothing else, so that a test can give it any result. Members that are missing (a
 * control of another version) show as '-'. */
#ifndef CONTROL_CLI_RENDER_H
#define CONTROL_CLI_RENDER_H

#include "control/admin/commands.h"

#include <jansson.h>
#include <stdio.h>

void render(enum command_id cmd, json_t *result, FILE *out);

/* JSON as YAML: mappings and lists as blocks, texts quoted where YAML would read something else. */
void yaml_print(json_t *value, FILE *out);

/* render_status.c, render_cores.c, render_lists.c, render_cache.c, render_rules.c; for render()
 * only. */
void render_status(json_t *result, FILE *out);
void render_stats(json_t *result, FILE *out);
void render_cores(json_t *result, FILE *out);
void render_conns(json_t *result, FILE *out);
void render_drops(json_t *result, FILE *out);
void render_cache_list(json_t *result, FILE *out);
void render_cache_get(json_t *result, FILE *out);
void render_explain(json_t *result, FILE *out);
void render_rules(json_t *result, FILE *out);
void render_upstreams(json_t *result, FILE *out);
void render_cache_stats(json_t *result, FILE *out);
void render_warm(json_t *result, FILE *out);

/* The member as text in the unit; "-" when it is absent. buf: UNIT_TEXT bytes. */
const char *member_text(json_t *object, const char *name);
const char *member_count(char *buf, json_t *object, const char *name);
const char *member_bytes(char *buf, json_t *object, const char *name);
const char *member_ns(char *buf, json_t *object, const char *name);
const char *member_age_ms(char *buf, json_t *object, const char *name);

#endif
