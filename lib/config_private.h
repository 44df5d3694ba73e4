/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What config*.c share with each other and with nobody else. A file goes through them in this
 * order: doc_parse (positions), config_check_shape (keys, types, ranges), libcyaml into structures,
 * config_fill_defaults, config_check_rules (what makes sense together). */
#ifndef LIB_CONFIG_PRIVATE_H
#define LIB_CONFIG_PRIVATE_H

#include "lib/config.h"
#include "lib/config_doc.h"

enum status config_check_shape(const struct doc *doc, struct config_error *err);
enum status config_fill_defaults(const struct doc *doc, struct config *cfg);
enum status config_check_rules(const struct doc *doc, const struct config *cfg,
                               struct config_error *err);
enum status config_check_routes(const struct doc *doc, const struct config *cfg,
                                struct config_error *err);
/* routes[].compress */
enum status config_check_compress(const struct doc *doc, const struct config *cfg,
                                  struct config_error *err);
/* Rules, their tables and identities, and what routes say of them. */
enum status config_check_cache_rules(const struct doc *doc, const struct config *cfg,
                                     struct config_error *err);

enum status config_check_tiers(const struct doc *doc, const struct config *cfg,
                              struct config_error *err);

/* The checks of texts; each returns NULL when the text is good, else what is wrong and what would
 * be right, to be read after the text itself. */
const char *config_check_address(const char *text);    /* IPv4 or IPv6 */
const char *config_check_endpoint(const char *text);   /* host:port, [IPv6]:port */
const char *config_check_route_host(const char *text); /* name, *.name, * */
const char *config_check_pattern(const char *text);    /* path pattern of a route */

#endif
