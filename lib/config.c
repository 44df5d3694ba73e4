/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/config.h"
#include "lib/config_params.h"
#include "lib/config_private.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SCHEMA_MAX_FIELDS 512u
#define SCHEMA_MAX_NAMES  128u

/* params.def as libcyaml wants it. */
struct schema {
	cyaml_schema_value_t root;
	cyaml_schema_value_t text;
	cyaml_schema_value_t number;
	cyaml_schema_value_t items[PARAM_SECTION_COUNT];
	cyaml_schema_field_t *sections[PARAM_SECTION_COUNT];
	cyaml_schema_field_t fields[SCHEMA_MAX_FIELDS];
	cyaml_strval_t names[SCHEMA_MAX_NAMES];
	uint32_t fields_used;
	uint32_t names_used;
};

static void schema_names(struct schema *s, const struct param *p, cyaml_schema_value_t *out)
{
	out->enumeration.strings = &s->names[s->names_used];
	out->enumeration.count = p->names.count;
	assert(s->names_used + p->names.count <= SCHEMA_MAX_NAMES);
	for (uint32_t i = 0; i < p->names.count; i++)
		s->names[s->names_used++] =
		        (cyaml_strval_t){p->names.names[i].name, p->names.names[i].value};
}

static void schema_list(struct schema *s, const struct param *p, cyaml_schema_field_t *out)
{
	out->count_offset = p->count_offset;
	out->count_size = sizeof(unsigned);
	out->value.type = CYAML_SEQUENCE;
	out->value.flags = CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER;
	out->value.sequence.min = (uint32_t)p->min;
	out->value.sequence.max = (uint32_t)p->max;
	if (p->kind == PARAM_MAPS)
		out->value.sequence.entry = &s->items[p->child];
	else
		out->value.sequence.entry = p->kind == PARAM_TEXTS ? &s->text : &s->number;
	out->value.data_size = out->value.sequence.entry->data_size;
}

static void schema_field(struct schema *s, const struct param *p, cyaml_schema_field_t *out)
{
	*out = (cyaml_schema_field_t){
	        .key = p->key,
	        .data_offset = p->offset,
	        .value = {.flags = CYAML_FLAG_OPTIONAL, .data_size = p->size},
	};
	switch (p->kind) {
	case PARAM_UINT:
		out->value.type = CYAML_UINT;
		break;
	case PARAM_ENUM:
		out->value.type = CYAML_ENUM;
		out->value.flags |= CYAML_FLAG_STRICT;
		schema_names(s, p, &out->value);
		break;
	case PARAM_TEXT:
		out->value = s->text;
		out->value.flags |= CYAML_FLAG_OPTIONAL;
		break;
	case PARAM_MAP:
		out->value.type = CYAML_MAPPING;
		out->value.mapping.fields = s->sections[p->child];
		break;
	default:
		schema_list(s, p, out);
		break;
	}
}

/* Children come after their parents in params.def, so that going backwards finds them made. */
static void schema_init(struct schema *s)
{
	*s = (struct schema){
	        .text = {.type = CYAML_STRING,
	                 .flags = CYAML_FLAG_POINTER,
	                 .data_size = sizeof(char *),
	                 .string = {.min = 0, .max = CYAML_UNLIMITED}},
	        .number = {.type = CYAML_UINT, .data_size = sizeof(unsigned)},
	};
	for (int i = PARAM_SECTION_COUNT - 1; i >= 0; i--) {
		struct param_group group = param_group((enum param_section)i);

		s->sections[i] = &s->fields[s->fields_used];
		assert(s->fields_used + group.count + 1 <= SCHEMA_MAX_FIELDS);
		for (uint32_t k = 0; k < group.count; k++)
			schema_field(s, &group.params[k], &s->sections[i][k]);
		s->fields_used += group.count + 1; /* the last one stays empty: the end */
		s->items[i] = (cyaml_schema_value_t){
		        .type = CYAML_MAPPING,
		        .data_size = group.size,
		        .mapping = {.fields = s->sections[i]},
		};
	}
	s->root = s->items[PARAM_top];
	s->root.flags = CYAML_FLAG_POINTER;
}

/* What libcyaml says about an error: a reason, then a backtrace of which the first line is the
 * innermost place. */
struct cyaml_words {
	char reason[160];
	char place[160];
};

PRINTF(3, 0)
static void words_take(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	struct cyaml_words *w = ctx;
	char line[160];

	if (level < CYAML_LOG_ERROR)
		return;
	(void)vsnprintf(line, sizeof(line), fmt, args);
	line[strcspn(line, "\n")] = '\0';
	if (strstr(line, "line: ") && w->place[0] == '\0')
		memcpy(w->place, line, sizeof(line));
	else if (w->reason[0] == '\0')
		memcpy(w->reason, line, sizeof(line));
}

/* For what slipped through config_check_shape. */
static enum status words_error(const struct cyaml_words *w, cyaml_err_t code, const char *name,
                               struct config_error *err)
{
	const char *at = strstr(w->place, "line: ");
	uint32_t place[2] = {1, 1};

	if (at && sscanf(at, "line: %u, column: %u", &place[0], &place[1]) != 2)
		place[0] = place[1] = 1;
	doc_place_error(err, name, place, "%s (%s); see docs/reference/config.md",
	                w->reason[0] ? w->reason : "cannot be read", cyaml_strerror(code));
	return code == CYAML_ERR_OOM ? ST_NOMEM : ST_INVALID;
}

static enum status cyaml_read(struct span text, const char *name, struct config **out,
                              struct config_error *err)
{
	struct cyaml_words words = {.reason = ""};
	const cyaml_config_t how = {
	        .log_fn = words_take,
	        .log_ctx = &words,
	        .mem_fn = cyaml_mem,
	        .log_level = CYAML_LOG_ERROR,
	        .flags = CYAML_CFG_NO_ALIAS,
	};
	struct schema schema;
	cyaml_data_t *data = NULL;
	cyaml_err_t code;

	schema_init(&schema);
	code = cyaml_load_data((const uint8_t *)text.ptr, text.len, &how, &schema.root, &data,
	                       NULL);
	if (code != CYAML_OK)
		return words_error(&words, code, name, err);
	*out = data;
	return ST_OK;
}

void config_free(struct config *cfg)
{
	const cyaml_config_t how = {.mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR};
	struct schema schema;

	if (!cfg)
		return;
	schema_init(&schema);
	(void)cyaml_free(&how, &schema.root, cfg, 0);
}

static enum status doc_to_config(const struct doc *doc, struct span text, struct config **out,
                                 struct config_error *err)
{
	struct config *cfg = NULL;
	enum status st;

	st = config_check_shape(doc, err);
	if (st == ST_OK)
		st = cyaml_read(text, doc->name, &cfg, err);
	if (st != ST_OK)
		return st;
	st = config_fill_defaults(doc, cfg);
	if (st != ST_OK)
		(void)doc_error(doc, NULL, err, "out of memory");
	else
		st = config_check_rules(doc, cfg, err);
	if (st == ST_OK)
		*out = cfg;
	else
		config_free(cfg);
	return st;
}

enum status config_parse(const char *text, size_t len, const char *name, struct config **out,
                         struct config_error *err)
{
	struct doc doc;
	enum status st;

	*out = NULL;
	err->text[0] = '\0';
	st = doc_parse(&doc, span_of(text, len), name, err);
	if (st != ST_OK)
		return st;
	st = doc_to_config(&doc, span_of(text, len), out, err);
	doc_free(&doc);
	return st;
}

static enum status file_error(const char *path, struct config_error *err)
{
	int why = errno;

	(void)snprintf(err->text, sizeof(err->text), "%s:1:1: cannot be read: %s", path,
	               strerror(why));
	if (why == ENOENT)
		return ST_NOTFOUND;
	return why == EACCES ? ST_DENIED : ST_IO;
}

/* One byte more than is allowed, so that doc_parse sees that it is too much. */
static enum status file_read(int fd, char *buf, size_t *len)
{
	ssize_t n;

	*len = 0;
	while (*len < DOC_MAX_BYTES + 1) {
		n = read(fd, buf + *len, DOC_MAX_BYTES + 1 - *len);
		if (n == 0)
			return ST_OK;
		if (n > 0)
			*len += (size_t)n;
		else if (errno != EINTR)
			return ST_IO;
	}
	return ST_OK;
}

enum status config_load(const char *path, struct config **out, struct config_error *err)
{
	enum status st = ST_NOMEM;
	char *buf;
	size_t len;
	int fd;

	*out = NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return file_error(path, err);
	(void)snprintf(err->text, sizeof(err->text), "%s:1:1: out of memory", path);
	buf = malloc(DOC_MAX_BYTES + 1);
	if (!buf)
		goto out_fd;
	st = file_read(fd, buf, &len);
	if (st == ST_OK)
		st = config_parse(buf, len, path, out, err);
	else
		(void)file_error(path, err);
	free(buf);
out_fd:
	(void)close(fd);
	return st;
}
