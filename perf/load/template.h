/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Text with variables, as "/risks/{key|uuid}?page={random:1-20}": compiled once, written many times
 * without a check of room, since every variable has a greatest length. A '{' that no lower-case
 * letter follows is plain text, so that JSON bodies need no escapes; "{{" is a '{' in any case.
 *
 * For scenario*.c (which compiles) and request_maker.c (which writes). Knows nothing of HTTP. */
#ifndef PERF_LOAD_TEMPLATE_H
#define PERF_LOAD_TEMPLATE_H

#include "lib/base.h"
#include "lib/span.h"
#include "perf/load/rng.h"

#define TEMPLATE_CHOICES 256u
#define TEMPLATE_PIECES  1024u

enum piece_source {
	PIECE_TEXT,
	PIECE_KEY,
	PIECE_SEQ,
	PIECE_USER,
	PIECE_WORKER,
	PIECE_RANDOM,
	PIECE_TIME,
	PIECE_UUID,
	PIECE_CHOICE,
	/* From the caller, of the request that is being made; no variable names them. */
	PIECE_TARGET,
	PIECE_BODY_LENGTH,
	PIECE_SIGNATURE,
};

enum piece_format {
	FORMAT_PLAIN,
	FORMAT_HASH, /* 16 hex digits that follow from the number */
	FORMAT_UUID, /* a UUID that follows from the number */
	FORMAT_PAD,  /* with zeros to width digits */
	FORMAT_MS,   /* of time: milliseconds */
	FORMAT_ISO,  /* of time: RFC 3339, UTC */
};

struct piece {
	enum piece_source source;
	enum piece_format format;
	uint32_t width;
	uint32_t choice_count;
	struct span text; /* PIECE_TEXT */
	struct span *choices;
	uint64_t from; /* PIECE_RANDOM, both included */
	uint64_t to;
};

struct template
{
	struct piece *pieces;
	uint32_t count;
	bool wants_key;
	size_t room; /* the most bytes that it writes, without the caller's pieces */
	char *bytes; /* what texts and choices point into; owned */
	size_t bytes_used;
	size_t bytes_room;
};

struct template_error {
	size_t offset; /* of the variable in the text */
	size_t len;
	char text[256];
};

/* NULL with the reason in err. */
struct template *template_compile(struct span text, struct template_error *err);
void template_free(struct template *t);
/* It writes the same every time. */
bool template_is_fixed(const struct template *t);

/* To compose one of others: NULL and false when memory is short. */
struct template *template_new(void);
bool template_add_text(struct template *t, struct span text);
bool template_add(struct template *t, const struct template *from);
bool template_add_piece(struct template *t, enum piece_source source);

struct template_values {
	uint64_t key;
	uint64_t seq;
	uint32_t user;
	uint32_t worker;
	struct load_rng *rng;
	struct span target;
	struct span signature;
	size_t body_length;
};

/* Writes at to, with t->room bytes free and those of the caller's pieces (a body's length: 20);
 * returns the end. */
char *template_write(const struct template *t, const struct template_values *v, char *to);

/* The table of variables and of formats, for errors and the reference page; a NULL name ends it. */
struct template_word {
	const char *name;
	const char *usage;
	const char *text;
};
extern const struct template_word template_variables[];
extern const struct template_word template_formats[];

#endif
