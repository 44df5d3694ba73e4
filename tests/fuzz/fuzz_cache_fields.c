/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One field section as request and as response, to what reads single fields for caching: Vary and
 * the keys of variants, ranges, tags, targets that an unsafe request makes void, conditions. Two
 * bytes choose lengths. */
#include <stdlib.h>

#include "cache/range.h"
#include "cache/tags.h"
#include "cache/vary.h"

#define NOW_MS 1700000000000ull
#define SEED   3u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool cond)
{
	if (!cond)
		abort();
}

static void vary_check(const struct http_fields *fs)
{
	struct cache_key primary = {.hash = {1, 2}, .text = SPAN_LIT("host/path")};
	char names_text[VARY_NAMES_MAX];
	char text[CACHE_KEY_MAX], again_text[CACHE_KEY_MAX];
	struct cache_key key, again;
	struct span names, read;
	uint64_t mem[128];
	uint64_t id;

	if (vary_of(fs, names_text, &names) != VARY_LIST)
		return;
	require(names.len > 0 && names.len <= VARY_NAMES_MAX);
	size_t list_len = vary_list_write(mem, sizeof(mem), &primary, 7, names);
	require(list_len > 0 && object_head_valid(mem, list_len));
	require(vary_list_read((struct object *)mem, &id, &read));
	require(id == 7 && span_eq(names, read));
	if (!vary_key(text, &primary, (struct object *)mem, fs, SEED, &key))
		return;
	require(key.text.len > primary.text.len && key.text.len <= CACHE_KEY_MAX);
	require(span_eq(vary_primary(key.text), primary.text));
	require(vary_key(again_text, &primary, (struct object *)mem, fs, SEED, &again));
	require(span_eq(key.text, again.text) && hash128_eq(key.hash, again.hash));
}

/* Bytes that are no list must not be read out of their bounds, nor be taken for one unchecked. */
static void list_check(const uint8_t *data, size_t len)
{
	struct object *o = malloc(sizeof(*o) + len);
	struct span names;
	uint64_t id;

	require(o != NULL);
	*o = (struct object){.flags = OBJECT_VARY, .fields_len = (uint32_t)len};
	memcpy(o + 1, data, len);
	if (vary_list_read(o, &id, &names))
		require(id != 0 && names.len > 0 && names.len <= VARY_NAMES_MAX);
	free(o);
}

static void range_check(const struct http_fields *fs, uint64_t body_len)
{
	struct {
		struct object o;
		char fields[96];
	} mem = {.o = {.status = 200, .body_len = body_len, .etag_off = 6, .etag_len = 3},
	         .fields = "ETag: \"a\"\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"};
	struct byte_range out[RANGES_MAX];
	uint32_t count;

	mem.o.fields_len = (uint32_t)strlen(mem.fields);
	enum range_result result = range_resolve(&mem.o, fs, out, &count);
	require(count <= RANGES_MAX);
	require((result == RANGE_PART) == (count == 1));
	require((result == RANGE_PARTS) == (count > 1));
	require(result == RANGE_WHOLE || http_fields_have(fs, HDR_RANGE));
	for (uint32_t i = 0; i < count; i++) {
		require(out[i].len > 0 && out[i].first < body_len);
		require(out[i].len <= body_len - out[i].first);
		for (uint32_t k = 0; k < i; k++)
			require(out[i].first >= out[k].first + out[k].len ||
			        out[k].first >= out[i].first + out[i].len);
	}
}

static void on_tag(void *arg, struct span tag)
{
	uint32_t *count = arg;

	require(tag.len >= 4 && tag.len <= TAG_MAX);
	require(memcmp(tag.ptr, "tag:", 4) == 0 || memcmp(tag.ptr, "group:", 6) == 0);
	(*count)++;
}

static void target_check(const struct http_fields *fs)
{
	struct cache_target at = {.host = SPAN_LIT("h:8080"), .target = SPAN_LIT("/a/b?c")};
	static struct cache_targets out;
	uint32_t count = 0;

	cache_invalidated(&at, fs, &out);
	require(out.count <= 2);
	for (uint32_t i = 0; i < out.count; i++) {
		struct span t = out.target[i];
		const char *query = memchr(t.ptr, '?', t.len);
		size_t path = query != NULL ? (size_t)(query - t.ptr) : t.len;

		require(t.len > 0 && t.len <= CACHE_TARGET_MAX && t.ptr[0] == '/');
		require(!span_eq(t, at.target));
		require(memmem(t.ptr, path, "/../", 4) == NULL);
		require(memmem(t.ptr, path, "/./", 3) == NULL);
	}
	tags_of_response(fs, &at, on_tag, &count);
	tags_invalidated(fs, &at, on_tag, &count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct http_fields fs;
	size_t pos = 0;

	if (len < 2)
		return 0;
	http1_init(NULL);
	list_check(data, len);
	if (http1_scan_fields((const char *)data + 2, len - 2, &pos, &fs) != HTTP_SCAN_DONE)
		return 0;
	vary_check(&fs);
	range_check(&fs, data[0] < 255 ? data[0] : UINT64_MAX - data[1]);
	target_check(&fs);
	return 0;
}
