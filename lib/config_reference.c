/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Makes docs/reference/config.md from params.def: config_reference > docs/reference/config.md.
 * With --check FILE it says whether that page is up to date. */
#include "lib/config_params.h"

#include <stdio.h>
#include <stdlib.h>

static const char intro[] =
        "# Configuration reference\n"
        "\n"
        "<!-- Made by config_reference from lib/params.def. Change that file, then run\n"
        "     BUILD/lib/config_reference > docs/reference/config.md -->\n"
        "\n"
        "Both processes read one YAML file. Every key has a default but those marked *required*.\n"
        "Unknown keys, wrong types and impossible values are refused with file, line, column, what "
        "is\n"
        "wrong and what would be right. `sluicectl config check FILE` says so without starting "
        "anything.\n"
        "\n"
        "Whole numbers are decimal digits, without unit, sign, point or leading zeros; the name of "
        "a key\n"
        "says its unit (`_ms`, `_s`, `_us`, `_bytes`). Texts may be quoted. Anchors, aliases and "
        "tags are\n"
        "refused, and so is a second document. Limits: 1 MiB, 65,536 values, 16 levels.\n"
        "\n"
        "Examples: [minimal.yaml](../examples/minimal.yaml), [full.yaml](../examples/full.yaml) "
        "(every\n"
        "key and its default), [memif.yaml](../examples/memif.yaml), "
        "[api.yaml](../examples/api.yaml).\n";

static void write_kind(FILE *out, const struct param *p)
{
	const char *unit = p->unit[0] ? " " : "";

	switch (p->kind) {
	case PARAM_UINT:
		(void)fprintf(out, "%s%llu to %llu%s%s", p->pow2 ? "power of two, " : "",
		              (unsigned long long)p->min, (unsigned long long)p->max, unit,
		              p->unit);
		break;
	case PARAM_ENUM:
		for (uint32_t i = 0; i < p->names.count; i++)
			(void)fprintf(out, "%s`%s`", i ? ", " : "", p->names.names[i].name);
		break;
	case PARAM_TEXT:
		(void)fputs("text", out);
		break;
	case PARAM_MAP:
		(void)fputs("mapping", out);
		break;
	case PARAM_UINTS:
		(void)fprintf(out, "list of %llu to %llu numbers up to %llu",
		              (unsigned long long)p->min, (unsigned long long)p->max,
		              (unsigned long long)p->item_max);
		break;
	default:
		(void)fprintf(out, "list of %llu to %llu %s", (unsigned long long)p->min,
		              (unsigned long long)p->max,
		              p->kind == PARAM_MAPS ? "mappings" : "texts");
		break;
	}
}

static void write_default(FILE *out, const struct param *p)
{
	bool plain = p->kind == PARAM_TEXTS || p->kind == PARAM_UINTS;

	if (p->required)
		(void)fputs("*required*", out);
	else if (p->kind == PARAM_UINT && p->def[0] == p->def[2])
		(void)fprintf(out, "%llu", (unsigned long long)p->def[0]);
	else if (p->kind == PARAM_UINT)
		(void)fprintf(out, "%llu, %llu, %llu", (unsigned long long)p->def[0],
		              (unsigned long long)p->def[1], (unsigned long long)p->def[2]);
	else if (p->def_text)
		(void)fprintf(out, plain ? "%s" : "`%s`", p->def_text);
}

static void write_section(FILE *out, enum param_section section)
{
	struct param_group group = param_group(section);

	if (group.path[0] == '\0')
		(void)fprintf(out, "\n## Top level\n\n");
	else
		(void)fprintf(out, "\n## %s\n\n%s\n\n", group.path, group.text);
	(void)fputs("| Key | Value | Default | Meaning |\n|---|---|---|---|\n", out);
	for (uint32_t i = 0; i < group.count; i++) {
		(void)fprintf(out, "| `%s` | ", group.params[i].key);
		write_kind(out, &group.params[i]);
		(void)fputs(" | ", out);
		write_default(out, &group.params[i]);
		(void)fprintf(out, " | %s |\n", group.params[i].text);
	}
}

static void write_page(FILE *out)
{
	(void)fputs(intro, out);
	for (int i = 0; i < PARAM_SECTION_COUNT; i++)
		write_section(out, (enum param_section)i);
}

static int check_page(const char *path)
{
	FILE *file = fopen(path, "r"), *mem;
	char *page = NULL;
	size_t len = 0, at = 0;
	int c, same = 1;

	if (!file) {
		perror(path);
		return EXIT_FAILURE;
	}
	mem = open_memstream(&page, &len);
	if (mem) {
		write_page(mem);
		(void)fclose(mem);
	}
	while (same && (c = fgetc(file)) != EOF)
		same = at < len && page[at++] == (char)c;
	same = same && at == len;
	(void)fclose(file);
	free(page);
	if (same)
		return EXIT_SUCCESS;
	(void)fprintf(stderr, "%s differs from lib/params.def; run config_reference > %s\n", path,
	              path);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--check") == 0)
		return check_page(argv[2]);
	if (argc == 1) {
		write_page(stdout);
		return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	(void)fprintf(stderr, "usage: config_reference [--check FILE]\n");
	return EXIT_FAILURE;
}
