/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Variants of one key (RFC 9111 4.1). An answer with Vary is stored under a key of its own, made of
 * the first one and of the values that the request has for the listed fields; under the first key
 * lies a list (OBJECT_VARY) that says which fields those are. The list has an identity, which is in
 * the keys of its variants: with a new list, or after a purge of it, none of the old ones is found.
 *
 * Where Sluice itself codes answers (cache/coding.h) the list says which codings are offered:
 * "accept-encoding,origin=br,gzip". Then not the values of Accept-Encoding are in the key but the
 * one coding that they come to, behind the identity; an answer and its coded forms have keys that
 * differ in nothing else (vary_key_coded).
 * Pure functions. */
#ifndef CACHE_VARY_H
#define CACHE_VARY_H

#include "cache/coding.h"
#include "cache/key.h"
#include "cache/object.h"

#define VARY_NAMES_MAX 256u /* bytes of a list; an answer with more is not stored */
#define VARY_SEP       '\n' /* behind the first key's text, in a variant's: in no target or host */

enum vary_kind {
	VARY_NONE, /* no Vary, or an empty one: the key is enough */
	VARY_LIST,
	VARY_ANY /* "*", or a list that is too long: never served from a store */
};

/* The list of a response: lower case, sorted, each once, divided by ','; in buf. */
enum vary_kind vary_of(const struct http_fields *response, char buf[VARY_NAMES_MAX],
                       struct span *names);

/* Names (of vary_of, or none) with accept-encoding among them, and the codings that are offered:
 * what a list holds. False when it would be too long. */
bool vary_offer(struct span names, const struct codings *offers, char buf[VARY_NAMES_MAX],
                struct span *out);
/* What a list's names offer; count 0: no codings of ours. */
void vary_offers(struct span names, struct codings *out);

/* The stored form of a list: the object for the first key. id: not 0, not guessable. Writes into
 * mem (aligned to 8); its length, or 0 when cap is too small. */
size_t vary_list_write(void *mem, size_t cap, const struct cache_key *key, uint64_t id,
                       struct span names);
/* Reads one, names with what is offered; false when o is no sound list. */
bool vary_list_read(const struct object *o, uint64_t *id, struct span *names);

/* The key of the variant that this request asks for. Values are taken as RFC 9111 4.1 lets a cache
 * normalise them: lines of one name joined, blanks around commas gone; Accept-Encoding as the set
 * of codings that Sluice knows, in fixed order. buf holds the text; it begins with primary's text
 * and VARY_SEP. False when it would be too long. */
bool vary_key(char buf[CACHE_KEY_MAX], const struct cache_key *primary, const struct object *list,
              const struct http_fields *request, uint64_t seed, struct cache_key *out);

/* text: the key of a variant of a list with offers. The key of the same answer in that coding, in
 * buf. False: no such key, or no room. */
bool vary_key_coded(struct span text, enum coding c, uint64_t seed, char buf[CACHE_KEY_MAX],
                    struct cache_key *out);

/* The first key's text in a key's text. */
struct span vary_primary(struct span key_text);

#endif
