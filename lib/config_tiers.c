/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The rules of the cache's tiers. */
#include "lib/config_private.h"

#include <sys/un.h>

#define PATH_LEN_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define PREFIX_MAX   64u

struct tiers {
	const struct doc *doc;
	const struct config_l3 *l3;
	struct config_error *err;
	const struct doc_node *node; /* cache.l3; NULL: the file has none */
	char path[DOC_MAX_PATH];
};

static const struct doc_node *l3_at(const struct tiers *t, const char *key)
{
	const struct doc_node *node = doc_key(t->node, key);

	return node ? node : t->node;
}

static enum status bad_text(struct tiers *t, const struct doc_node *node, const char *text,
                            const char *wrong)
{
	return doc_error(t->doc, node, t->err, "%s '%.60s' %s", doc_path(node, t->path), text,
	                 wrong);
}

static const char *address_wrong(const char *text)
{
	if (strchr(text, '/') == NULL)
		return config_check_endpoint(text);
	if (text[0] != '/' || strlen(text) > PATH_LEN_MAX)
		return "is no absolute path of at most 107 bytes; write for example "
		       "/run/redis/redis.sock";
	return NULL;
}

static enum status rules_addresses(struct tiers *t)
{
	const struct config_l3 *l3 = t->l3;

	if (l3->backend == L3_BACKEND_REDIS && l3->addresses_count == 0)
		return doc_error(t->doc, t->node, t->err,
		                 "cache.l3 has no 'addresses'; add them, for example: addresses: "
		                 "[\"127.0.0.1:6379\"]");
	if (l3->cluster == L3_CLUSTER_OFF && l3->addresses_count > 1)
		return doc_error(t->doc, l3_at(t, "addresses"), t->err,
		                 "cache.l3.addresses has %u; without 'cluster: on' there is one "
		                 "server",
		                 l3->addresses_count);
	for (unsigned i = 0; i < l3->addresses_count; i++) {
		const char *wrong = address_wrong(l3->addresses[i]);

		if (wrong)
			return bad_text(t, doc_item(l3_at(t, "addresses"), i), l3->addresses[i],
			                wrong);
	}
	return ST_OK;
}

static bool prefix_good(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > PREFIX_MAX)
		return false;
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text > '~' || *text == '{' || *text == '}')
			return false;
	return true;
}

static enum status rules_warm(const struct doc *doc, const struct config_warm *w,
                              struct config_error *err)
{
	const struct doc_node *node = doc_key(doc_key(doc->root, "cache"), "warm");
	const struct doc_node *peers = doc_key(node, "peers");
	struct tiers t = {.doc = doc, .err = err, .node = node};

	if (w->file && (w->file[0] != '/' || w->file[strlen(w->file) - 1] == '/'))
		return bad_text(&t, doc_key(node, "file"), w->file,
		                "is no absolute path of a file; write for example "
		                "/var/lib/sluice/hot-list");
	for (unsigned i = 0; i < w->peers_count; i++) {
		const char *text = w->peers[i];

		if (strncmp(text, "http://", 7) != 0 || config_check_endpoint(text + 7) != NULL)
			return bad_text(&t, doc_item(peers, i), text,
			                "is no address of a peer; write for example "
			                "http://10.0.0.2:9900");
	}
	return ST_OK;
}

enum status config_check_tiers(const struct doc *doc, const struct config *cfg,
                               struct config_error *err)
{
	struct tiers t = {
	        .doc = doc,
	        .l3 = &cfg->cache.l3,
	        .err = err,
	        .node = doc_key(doc_key(doc->root, "cache"), "l3"),
	};
	const char *file = t.l3->password_file;

	if (!prefix_good(t.l3->prefix))
		return bad_text(&t, l3_at(&t, "prefix"), t.l3->prefix,
		                "is no prefix; write 1 to 64 visible ASCII characters without "
		                "braces, for example sluice:");
	if (file && file[0] != '/')
		return bad_text(
		        &t, l3_at(&t, "password_file"), file,
		        "is no absolute path; write for example /etc/sluice/redis-password");
	if (t.l3->user && !file)
		return doc_error(doc, l3_at(&t, "user"), err,
		                 "cache.l3.user needs a password; add password_file");
	enum status st = rules_addresses(&t);

	return st == ST_OK ? rules_warm(doc, &cfg->cache.warm, err) : st;
}
