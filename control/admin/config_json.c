/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Walks the table of configuration keys, so that a new key needs nothing here. */
#include "control/admin/config_json.h"

#include "lib/config_params.h"

static json_t *section_json(enum param_section section, const char *base);

static const void *pointer_at(const char *base, uint32_t offset)
{
	const void *p;

	memcpy(&p, base + offset, sizeof(p));
	return p;
}

static json_t *text_json(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *name_json(const struct param *p, const char *base)
{
	uint64_t value = param_get(p, base);

	for (uint32_t i = 0; i < p->names.count; i++)
		if ((uint64_t)p->names.names[i].value == value)
			return json_string(p->names.names[i].name);
	return json_null();
}

static json_t *item_json(const struct param *p, const void *list, unsigned i)
{
	const char *const *texts = list;
	const unsigned *numbers = list;

	if (p->kind == PARAM_TEXTS)
		return text_json(texts[i]);
	if (p->kind == PARAM_UINTS)
		return json_integer(numbers[i]);
	return section_json(p->child, (const char *)list + (size_t)i * param_group(p->child).size);
}

static json_t *list_json(const struct param *p, const char *base)
{
	const void *list = pointer_at(base, p->offset);
	json_t *out = json_array();
	unsigned count;

	memcpy(&count, base + p->count_offset, sizeof(count));
	for (unsigned i = 0; i < count; i++)
		json_array_append_new(out, item_json(p, list, i));
	return out;
}

static json_t *param_json(const struct param *p, const char *base)
{
	switch (p->kind) {
	case PARAM_UINT:
		return json_integer((json_int_t)param_get(p, base));
	case PARAM_ENUM:
		return name_json(p, base);
	case PARAM_TEXT:
		return text_json(pointer_at(base, p->offset));
	case PARAM_MAP:
		return section_json(p->child, base + p->offset);
	default:
		return list_json(p, base);
	}
}

/* Has the key a meaning in this structure? config_load refuses these two where they say nothing. */
static bool param_applies(const struct param *p, const char *base)
{
	const struct config_port *port = (const void *)base;
	const struct config_cache *cache = (const void *)base;

	if (p->section == PARAM_port && p->offset == offsetof(struct config_port, role))
		return port->type == PORT_MEMIF;
	if (p->section == PARAM_cache && p->offset == offsetof(struct config_cache, ttl_s))
		return cache->mode == CONFIG_CACHE_TTL;
	/* A secret is not for whoever may look at the configuration. */
	return p->section != PARAM_identity ||
	       p->offset != offsetof(struct config_identity, key_secret);
}

/* A text that is not set is left out: the file knows no null. */
static json_t *section_json(enum param_section section, const char *base)
{
	struct param_group group = param_group(section);
	json_t *out = json_object();

	for (uint32_t i = 0; i < group.count; i++) {
		const struct param *p = &group.params[i];

		if (!param_applies(p, base))
			continue;
		json_t *value = param_json(p, base);

		if (json_is_null(value))
			json_decref(value);
		else
			json_object_set_new(out, p->key, value);
	}
	return out;
}

json_t *config_json(const struct config *cfg)
{
	return section_json(PARAM_top, (const char *)cfg);
}
