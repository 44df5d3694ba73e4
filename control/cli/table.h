/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tables for people: aligned columns, and numbers in units that are easy to read. What a cell holds
 * may come from a client of the front door, so control characters never reach the terminal. */
#ifndef CONTROL_CLI_TABLE_H
#define CONTROL_CLI_TABLE_H

#include "lib/base.h"

#include <stdio.h>

struct table_column {
	const char *title;
	bool right; /* numbers */
};

#define TABLE_COLUMNS_MAX 80u

struct table;

/* columns is copied, its titles are not. Ends the program when memory runs out, as all of these. */
struct table *table_create(const struct table_column *columns, uint32_t count);
/* The next cell of the current row, which ends with its last column. */
void table_cell(struct table *t, const char *fmt, ...) PRINTF(2, 3);
/* Prints titles and rows with two spaces between columns, and frees t. */
void table_print(struct table *t, FILE *out);

/* "Title:  value" lines aligned by their widest title: a table without titles. */
struct table *facts_create(void);

/* Text of a number in a buffer of the caller, which is also returned. */
#define UNIT_TEXT 32u
char *unit_count(char buf[UNIT_TEXT], uint64_t n);        /* 1,234,567 */
char *unit_bytes(char buf[UNIT_TEXT], uint64_t bytes);    /* 1.5 MiB */
char *unit_duration_ns(char buf[UNIT_TEXT], uint64_t ns); /* 15.2 ms */
char *unit_age_s(char buf[UNIT_TEXT], uint64_t seconds);  /* 2h 3m */
char *unit_percent(char buf[UNIT_TEXT], double ratio);    /* 97.31 % */

/* Prints text with control characters as '?'. */
void print_safe(FILE *out, const char *text);

#endif
