/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests as lines of text, and the hot list that is made of them: what operators write, what a
 * node saves and what it hands to its peers have one format.
 *
 *   GET http://host/path?query<TAB>Name: value<TAB>Name: value
 *
 * The method may be missing (GET), "http://" too; two or more blanks divide as a tab does. Empty
 * lines and those that begin with '#' say nothing. A hot list has two such lines more, by which a
 * reader knows that it is one and whole:
 *
 *   # sluice hot list 1
 *   ...
 *   # end COUNT HASH      lines of requests, and hash64 (seed 0) of all bytes before this line
 *
 * Pure functions; used by the warmer (warm.h). What they read may be hostile. */
#ifndef CONTROL_WARM_LINE_H
#define CONTROL_WARM_LINE_H

#include "lib/http1.h"

#define WARM_LINE_MAX  8192u
#define WARM_LIST_HEAD "# sluice hot list 1\n"

struct warm_line {
	struct span host;   /* with its port, unless that is 80 */
	struct span target; /* origin-form */
	struct span path;
	struct span query;         /* ptr NULL: none */
	struct http_fields fields; /* in text */
	size_t fields_len;         /* bytes of them in text, without the empty line */
	char text[WARM_LINE_MAX + 4 * HTTP_MAX_FIELDS];
	char url[WARM_LINE_MAX];
};

enum warm_line_kind { WARM_LINE_EMPTY, WARM_LINE_REQUEST, WARM_LINE_BAD };

/* line: without its line end. On BAD *wrong says what is wrong and what would be right. */
enum warm_line_kind warm_line_read(struct span line, struct warm_line *out, const char **wrong);

/* Does it say nothing? */
bool warm_line_empty(struct span line);

/* Cuts the next line off *text, without its line end ("\n" or "\r\n"). False: there is none. */
bool warm_line_next(struct span *text, struct span *line);

/* Is text a whole hot list? NULL when it is; *body is then its lines of requests, *count how many
 * there are. Else what is wrong. */
const char *warm_list_check(struct span text, struct span *body, uint64_t *count);
/* Writes the last line for text (head and count lines of requests) into out; its length. */
#define WARM_LIST_END_MAX 64u
size_t warm_list_end(struct span text, uint64_t count, char out[WARM_LIST_END_MAX]);

#endif
