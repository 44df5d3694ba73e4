/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers that are shared by what they depend on (rules with match: pattern). An origin says in
 * Sluice-Read-Set what it read of a request to make its answer; every request of the same route and
 * scope for which those values are the same gets that answer. It lies under a key of its own, the
 * pattern's front and the values:
 *
 *   pattern:page|h=api.test|t=acme|r=/v1/pages/{id} header.accept-language=en query.page=2
 *
 * and under the front alone lies a list (OBJECT_VARY with OBJECT_READS) of the names. A list only
 * grows: to compare more than an answer needed costs hits, to compare less would be a wrong answer.
 * Used by the cores, which look answers up, and by control, which stores them. Pure functions.
 *
 * Security. Nothing is shared when in doubt: not without the origin's (or the rule's) word, nor
 * when it names what cannot be worked out here, nor for requests that two readers could understand
 * differently (cache/key_program.h). */
#ifndef CACHE_READ_SET_H
#define CACHE_READ_SET_H

#include "cache/key_program.h"
#include "cache/object.h"
#include "lib/read_name.h"

#define READ_SET_SEP  ' '    /* behind the front, and between values: in no other key */
#define READ_SET_FRONT_MAX 1024u
#define READ_SET_NONE "none" /* a member that says: nothing */

/* What an answer to in depends on: the rule's list, the members of its Sluice-Read-Set (tokens or
 * strings of a List, RFC 9651 3.1), and the fields that its Vary lists, which vary the same. False:
 * neither rule nor answer say; or something of it is malformed, too much or no name. */
bool read_set_of(const struct snapshot *s, const struct key_input *in,
                 const struct http_fields *response, struct read_names *out);

/* The front. The rule of in->route is a pattern. */
enum key_status read_set_front(const struct snapshot *s, const struct key_input *in,
                               char buf[CACHE_KEY_MAX], struct cache_key *out);
/* The key of the answer that this request gets, by a list's names. buf: not that of front. */
enum key_status read_set_key(const struct snapshot *s, const struct key_input *in,
                             struct span front, struct span names, char buf[CACHE_KEY_MAX],
                             struct cache_key *out);
/* The front of a key; the whole text when it is none of a shared answer. */
struct span read_set_front_of(struct span key_text);

/* The stored form of a list, into mem (aligned to 8); its length, or 0 when cap is too small. */
size_t read_list_write(void *mem, size_t cap, const struct cache_key *front, struct span names);
/* False: o is no sound list. */
bool read_list_read(const struct object *o, struct span *names);

#endif
