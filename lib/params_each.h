/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Includes params.def with every row macro that the includer did not define as nothing, and forgets
 * them all. For config_params.{h,c}; no include guard, since it is used more than once. */
#ifndef SECTION
#define SECTION(id, path, text)
#endif
#ifndef UINT
#define UINT(sec, key, unit, min, max, def, text)
#endif
#ifndef POW2
#define POW2(sec, key, unit, min, max, def, text)
#endif
#ifndef PROFILED
#define PROFILED(sec, key, unit, min, max, dev, staging, production, text)
#endif
#ifndef ENUM
#define ENUM(sec, key, names, def, text)
#endif
#ifndef TEXT
#define TEXT(sec, key, def, text)
#endif
#ifndef NEED
#define NEED(sec, key, example, text)
#endif
#ifndef MAP
#define MAP(sec, key, child, text)
#endif
#ifndef MAPS
#define MAPS(sec, key, child, min, max, text)
#endif
#ifndef TEXTS
#define TEXTS(sec, key, min, max, def, text)
#endif
#ifndef UINTS
#define UINTS(sec, key, min, max, largest, def, text)
#endif
#include "lib/params.def"
#undef SECTION
#undef UINT
#undef POW2
#undef PROFILED
#undef ENUM
#undef TEXT
#undef NEED
#undef MAP
#undef MAPS
#undef TEXTS
#undef UINTS
