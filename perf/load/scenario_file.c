/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Where scenarios come from: files, and those within the program. */
#include "perf/load/scenario_private.h"

#include "lib/config_doc.h"
#include "perf/load/scenario_shipped.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct span scenario_shipped(const char *name)
{
	for (const struct shipped_scenario *f = shipped_scenarios; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f->text;
	return span_of(NULL, 0);
}

static enum status refuse(struct config_error *err, const char *name, const char *why)
{
	(void)snprintf(err->text, sizeof(err->text), "%.200s: %s", name, why);
	return ST_INVALID;
}

static enum status no_such(struct config_error *err, const char *name)
{
	struct doc_guess g = {.distance = UINT32_MAX};
	char why[128] = "there is no such file or scenario; \"sluice-bench list\" shows those that "
	                "are shipped";

	for (const struct shipped_scenario *f = shipped_scenarios; f->name; f++)
		doc_guess_try(&g, span_cstr(name), f->name);
	if (g.word)
		(void)snprintf(why, sizeof(why),
		               "there is no such file or scenario; did you mean '%s'?", g.word);
	(void)refuse(err, name, why);
	return ST_NOTFOUND;
}

static enum status file_read(FILE *file, char **text, size_t *len)
{
	/* One byte more than may be, so that a longer one is noticed. */
	*text = malloc(DOC_MAX_BYTES + 1);
	if (!*text)
		return ST_NOMEM;
	*len = fread(*text, 1, DOC_MAX_BYTES + 1, file);
	return ferror(file) ? ST_IO : ST_OK;
}

enum status scenario_read(struct scenario *s, const char *name, struct config_error *err)
{
	const struct span shipped = scenario_shipped(name);
	char *text = NULL;
	size_t len = 0;
	enum status st;
	FILE *file;

	*s = (struct scenario){0};
	if (shipped.ptr)
		return scenario_parse(s, shipped, name, err);
	file = fopen(name, "re");
	if (!file && errno == ENOENT)
		return no_such(err, name);
	if (!file)
		return refuse(err, name, strerrordesc_np(errno));
	st = file_read(file, &text, &len);
	if (st != ST_OK)
		(void)refuse(err, name, st == ST_IO ? strerrordesc_np(errno) : "out of memory");
	(void)fclose(file);
	if (st == ST_OK)
		st = scenario_parse(s, span_of(text, len), name, err);
	free(text);
	return st;
}

/* The text of the key "about", which stands alone on its line in what is shipped. */
static struct span about_of(struct span text)
{
	static const char key[] = "\nabout: ";
	const char *at = memmem(text.ptr, text.len, key, sizeof(key) - 1);
	const char *end;

	if (!at)
		return span_of("", 0);
	at += sizeof(key) - 1;
	end = memchr(at, '\n', text.len - (size_t)(at - text.ptr));
	return span_of(at, end ? (size_t)(end - at) : 0);
}

void scenario_list(void)
{
	for (const struct shipped_scenario *f = shipped_scenarios; f->name; f++) {
		struct span about = about_of(f->text);

		(void)printf("%-10s %.*s\n", f->name, (int)about.len, about.ptr);
	}
}
